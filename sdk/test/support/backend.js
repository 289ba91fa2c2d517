/**
 * A scripted server that plays our API and the store on one real socket, so that the kit's own decisions can be
 * tested one by one. Whether the real server agrees with it is proven elsewhere, in a browser.
 */

import { createHash } from "node:crypto";
import { createServer } from "node:http";

/** @typedef {{status: number, body?: unknown, headers?: Record<string, string>}} Reply */
/**
 * What a script may do with a request: answer it, break the connection, never answer, or (undefined) let it pass.
 * `lose` does the work and then breaks the connection.
 * @typedef {Reply | "reset" | "hang" | "lose" | undefined | void} Fate
 */

export const SERVER_EPOCH = Date.parse("2026-05-05T10:00:00Z");

export class Backend {
  /** Every request in order, as "METHOD /path" without the address of the API. */
  log = [];
  uploads = new Map();
  /** Numbers of the parts that the store said 200 to, in order; a number twice is a part sent twice. */
  acknowledged = [];
  /** The same of the parts that came through our API. */
  relayed = [];
  /** Whether our API takes parts; an older server does not know the address. */
  takesParts = true;
  /** How uploads travel that begin now; nothing is signed for one that is relayed. */
  transfer = "direct";
  partsAtOnce = 0;
  mostPartsAtOnce = 0;
  partSize = 1000;
  /** Milliseconds that a signed address lives. */
  addressLife = 3_600_000;
  now = () => SERVER_EPOCH;
  /** @type {(request: {route: string, body: any, headers: any}) => Fate | Promise<Fate>} */
  onApi = () => {};
  /** @type {(part: {number: number, attempt: number, url: URL, headers: any}) => Fate | Promise<Fate>} */
  onPart = () => {};
  #attempts = new Map();
  #lastId = 0;

  async listen(port = 0) {
    this.server = createServer((request, response) => this.#serve(request, response));
    await new Promise((resolve) => this.server.listen(port, "127.0.0.1", resolve));
    this.origin = `http://127.0.0.1:${this.server.address().port}`;
    this.storeOrigin ??= this.origin;
    this.api = `${this.origin}/api/v1`;
    return this;
  }

  async close() {
    this.server.closeAllConnections();
    await new Promise((resolve) => this.server.close(resolve));
  }

  /** The joined bytes of an upload. */
  bytes(id) {
    const { parts } = this.uploads.get(id);
    return Buffer.concat([...parts.keys()].sort((a, b) => a - b).map((number) => parts.get(number).bytes));
  }

  count(pattern) {
    return this.log.filter((line) => pattern.test(line)).length;
  }

  async #serve(request, response) {
    response.sendDate = false;
    const url = new URL(request.url, this.origin);
    const isStore = url.pathname.startsWith("/store/");
    const body = await read(request).catch(() => null);
    if (body === null) return;
    if (!isStore) return this.#serveApi(request, response, url, body);
    return this.#serveStore(request, response, url, body);
  }

  async #serveApi(request, response, url, raw) {
    const route = `${request.method} ${url.pathname.replace("/api/v1", "")}`;
    const isContent = route.endsWith("/content");
    const body = isContent ? raw : raw.length > 0 ? JSON.parse(raw.toString()) : undefined;
    this.log.push(route);
    const fate = await this.onApi({ route, body, headers: request.headers });
    if (fate === "reset") return request.socket.destroy();
    if (fate === "hang") return;
    const reply = typeof fate === "object" ? fate : this.answer(request.method, route, url, body);
    if (fate === "lose") return request.socket.destroy();
    response.writeHead(reply.status, {
      Date: new Date(this.now()).toUTCString(),
      "Content-Type": reply.status < 300 ? "application/json" : "application/problem+json",
      ...reply.headers,
    });
    response.end(reply.body === undefined ? "" : JSON.stringify(reply.body));
  }

  async #serveStore(request, response, url, bytes) {
    this.partsAtOnce += 1;
    this.mostPartsAtOnce = Math.max(this.mostPartsAtOnce, this.partsAtOnce);
    try {
      const [, , id, number] = url.pathname.split("/");
      const attempt = (this.#attempts.get(url.pathname) ?? 0) + 1;
      this.#attempts.set(url.pathname, attempt);
      this.log.push(`PUT part ${number}`);
      const fate = await this.onPart({ number: Number(number), attempt, url, headers: request.headers });
      if (fate === "reset") return request.socket.destroy();
      if (fate === "hang") return;
      const reply = typeof fate === "object" ? fate : this.store(id, Number(number), url, bytes);
      if (fate === "lose") return request.socket.destroy();
      response.writeHead(reply.status, reply.headers);
      response.end(reply.body ?? "");
    } finally {
      this.partsAtOnce -= 1;
    }
  }

  store(id, number, url, bytes) {
    const upload = this.uploads.get(id);
    if (!upload || upload.isGone) return { status: 404, body: "<Error><Code>NoSuchUpload</Code></Error>" };
    if (Number(url.searchParams.get("expires")) <= this.now()) {
      return { status: 403, body: "<Error><Code>AccessDenied</Code><Message>Request has expired</Message></Error>" };
    }
    const etag = `"${createHash("md5").update(bytes).digest("hex")}"`;
    upload.parts.set(number, { bytes, etag });
    this.acknowledged.push(number);
    return { status: 200, headers: { ETag: etag } };
  }

  /** What our API answers when nothing is wrong. */
  answer(method, route, url, body) {
    if (route === "GET /session") return { status: 200, body: this.session };
    if (route === "POST /uploads") return this.#create(body);
    if (route === "GET /uploads") return { status: 200, body: this.#list(url.searchParams.get("state")) };
    const [, , id, verb, number, content] = route.split(" ")[1].split("/");
    const upload = this.uploads.get(id);
    if (!upload) return problem(404, "not-found", "No such upload.");
    if (method === "DELETE") {
      upload.state = "aborted";
      return { status: 204 };
    }
    if (upload.isGone) return problem(410, "vanished", "The store no longer has this upload.");
    if (method === "GET") return { status: 200, body: describe(upload) };
    if (content) return this.#take(upload, Number(number), body);
    if (verb === "signatures") return this.#sign(upload, body);
    if (verb === "parts") {
      for (const part of body.parts) upload.records.push(part.number);
      return { status: 204 };
    }
    return this.#complete(upload);
  }

  session = {
    owner: "me", kind: "anonymous", scopes: ["upload"], anonymous_allowed: true,
    limits: { max_size: 5 * 2 ** 40, default_part_size: 6 * 2 ** 20, max_parts: 10_000 },
    server_time: new Date(SERVER_EPOCH).toISOString(),
  };

  #create(body) {
    const known = body.resume !== false && [...this.uploads.values()].find((upload) => upload.state === "open"
      && upload.filename === body.filename && upload.size === body.size && !upload.isGone
      && upload.fingerprint === body.fingerprint);
    if (known) return { status: 200, body: describe(known) };
    this.#lastId += 1;
    const partSize = body.part_size ?? this.partSize;
    const upload = {
      id: `up-${this.#lastId}`, state: "open", filename: body.filename, size: body.size, partSize,
      partCount: Math.ceil(body.size / partSize), parts: new Map(), records: [], isGone: false,
      fingerprint: body.fingerprint, asked: body, token: `token-${this.#lastId}`, transfer: this.transfer,
    };
    this.uploads.set(upload.id, upload);
    return { status: 201, body: describe(upload) };
  }

  #sign(upload, { parts }) {
    if (upload.state !== "open") return problem(409, "wrong-state", "This upload is not open.");
    if (upload.transfer === "relay") return problem(403, "forbidden", "The bytes pass through the server.");
    let numbers = parts;
    if (typeof parts === "string") {
      const [first, last] = parts.split("-").map(Number);
      numbers = Array.from({ length: last - first + 1 }, (_, index) => first + index);
    }
    const expires = this.now() + this.addressLife;
    return {
      status: 200,
      body: {
        expires_at: new Date(expires).toISOString(), head: `${this.storeOrigin}/store/${upload.id}/`,
        middle: `?expires=${expires}&signature=`, tail: "&end",
        signatures: numbers.map((number) => [number, `s${number}`]),
      },
    };
  }

  /** A part that came through us, into the same upload and recorded at once. */
  #take(upload, number, bytes) {
    if (!this.takesParts) return problem(405, "method-not-allowed", "No such verb here.");
    if (upload.state !== "open") return problem(409, "wrong-state", "This upload is not open.");
    const expected = Math.min(upload.partSize, upload.size - (number - 1) * upload.partSize);
    if (bytes.length !== expected) return problem(400, "bad-request", `Part ${number} has ${expected} bytes.`);
    const etag = `"${createHash("md5").update(bytes).digest("hex")}"`;
    upload.parts.set(number, { bytes, etag });
    upload.records.push(number);
    this.relayed.push(number);
    const sha256 = createHash("sha256").update(bytes).digest("hex");
    return { status: 200, body: { number, size: bytes.length, etag, sha256 } };
  }

  #complete(upload) {
    const defects = [];
    for (let number = 1; number <= upload.partCount; number += 1) {
      if (!upload.parts.has(number)) defects.push({ problem: "missing", number });
    }
    if (defects.length > 0) {
      const { status, body } = problem(409, "incomplete", "Parts are missing.");
      return { status, body: { ...body, defects, total: defects.length } };
    }
    upload.state = "complete";
    return { status: 200, body: describe(upload) };
  }

  #list(state) {
    const uploads = [...this.uploads.values()].filter((upload) => upload.state === state).reverse();
    return {
      uploads: uploads.map((upload) => ({
        ...describe(upload), parts_recorded: upload.parts.size,
        bytes_recorded: [...upload.parts.values()].reduce((sum, { bytes }) => sum + bytes.length, 0),
        created_at: new Date(this.now()).toISOString(),
      })),
      next_cursor: null,
    };
  }
}

export function problem(status, slug, detail, headers) {
  return { status, headers, body: { type: `/problems/${slug}`, title: slug, status, detail, request_id: "r-1" } };
}

function describe(upload) {
  const isComplete = upload.state === "complete";
  return {
    id: upload.id, state: upload.state, transfer: upload.transfer, filename: upload.filename, size: upload.size,
    part_size: upload.partSize, part_count: upload.partCount, token: upload.token,
    parts: [...upload.parts].map(([number, { bytes, etag }]) => ({ number, size: bytes.length, etag })),
    location: isComplete ? `https://bucket.example/${encodeURIComponent(upload.filename)}` : null,
    etag: isComplete ? '"whole"' : null, key: `u/${upload.id}`,
  };
}

async function read(stream) {
  const chunks = [];
  for await (const chunk of stream) chunks.push(chunk);
  return Buffer.concat(chunks);
}
