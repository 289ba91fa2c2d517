/**
 * A scripted chunk server on a real socket, so that the decisions of `ChunkedUploader` can be tested one by one.
 * Whether the real server agrees with it is proven in `tests/browser`.
 */

import { createHash, randomUUID } from "node:crypto";
import { createServer } from "node:http";

/**
 * What a script may do with a request: answer it (`text` instead of `body` for what is no JSON), break the connection,
 * never answer, or (undefined) let it pass. `lose` does the work and then breaks the connection.
 * @typedef {{status: number, body?: unknown, text?: string, headers?: Record<string, string>}} Reply
 * @typedef {Reply | "reset" | "hang" | "lose" | undefined | void} Fate
 */

const BEGINNING = "2026-05-05T10:00:00Z";

export class ChunkServer {
  key = "secret-key";
  chunkSize = 1000;
  /** Whether `status` gives fresh tokens for pending parts; the original server does not. */
  handsOutTokens = true;
  uploads = new Map();
  /** Every request, as it came: `{route, headers, body}`. */
  requests = [];
  /** Numbers of the parts that were stored, in order. */
  stored = [];
  partsAtOnce = 0;
  mostPartsAtOnce = 0;
  /** @type {(request: {route: string, headers: any, body: any}) => Fate | Promise<Fate>} management calls */
  onCall = () => {};
  /** @type {(part: {number: number, attempt: number, token: string}) => Fate | Promise<Fate>} */
  onPart = () => {};
  #attempts = new Map();
  #tokenCount = 0;

  async listen() {
    this.server = createServer((request, response) => this.#serve(request, response));
    await new Promise((resolve) => this.server.listen(0, "127.0.0.1", resolve));
    this.url = `http://127.0.0.1:${this.server.address().port}`;
    return this;
  }

  async close() {
    this.server.closeAllConnections();
    await new Promise((resolve) => this.server.close(resolve));
  }

  /** How often a route was asked for. */
  count(route) {
    return this.requests.filter((request) => request.route === route).length;
  }

  /** The only upload there is. */
  get upload() {
    return [...this.uploads.values()][0];
  }

  /** The stored bytes of an upload, in the order of its parts. */
  bytes(upload = this.upload) {
    return Buffer.concat(upload.parts.map((part) => part.bytes ?? Buffer.alloc(0)));
  }

  async #serve(request, response) {
    const body = await read(request).catch(() => null);
    if (body === null) return;
    const part = /^\/upload\/([^/]+)\/part\/(\d+)$/.exec(request.url);
    const reply = part
      ? await this.#servePart(request, part[1], Number(part[2]), body)
      : await this.#serveCall(request, body);
    if (reply === "hang") return;
    if (reply === "reset") return request.socket.destroy();
    response.writeHead(reply.status, { "Content-Type": "application/json", ...reply.headers });
    response.end(reply.text ?? JSON.stringify(reply.body));
  }

  async #servePart(request, id, number, bytes) {
    const token = (request.headers.authorization ?? "").replace(/^Bearer /, "");
    const attempt = (this.#attempts.get(number) ?? 0) + 1;
    this.#attempts.set(number, attempt);
    this.requests.push({ route: `PUT part ${number}`, headers: request.headers, body: bytes });
    this.partsAtOnce += 1;
    this.mostPartsAtOnce = Math.max(this.mostPartsAtOnce, this.partsAtOnce);
    try {
      const fate = await this.onPart({ number, attempt, token });
      return await this.#through(fate, () => this.#store(id, number, token, bytes));
    } finally {
      this.partsAtOnce -= 1;
    }
  }

  async #serveCall(request, raw) {
    const body = raw.length > 0 ? JSON.parse(raw.toString()) : undefined;
    const route = `${request.method} ${request.url.replace(/\/upload\/[0-9a-f-]{36}/, "/upload/ID")}`;
    const seen = { route, headers: request.headers, body };
    this.requests.push(seen);
    return this.#through(await this.onCall(seen), () => this.#answer(request, route, body));
  }

  #through(fate, work) {
    if (typeof fate === "object" || fate === "reset" || fate === "hang") return fate;
    const reply = work();
    return fate === "lose" ? "reset" : reply;
  }

  #store(id, number, token, bytes) {
    const upload = this.uploads.get(id);
    if (!upload) return refusal(404, "No such upload.");
    const part = upload.parts[number];
    if (!part) return refusal(404, "No such part.");
    if (!part.tokens.has(token)) return refusal(401, "This token is not good.");
    const size = Math.min(upload.chunkSize, upload.size - number * upload.chunkSize);
    if (bytes.length !== size) return refusal(400, `Part ${number} has ${size} bytes.`);
    if (part.bytes && !part.bytes.equals(bytes)) return refusal(409, "Other bytes are stored.", "part_conflict");
    part.bytes = bytes;
    this.stored.push(number);
    return {
      status: 200,
      body: {
        upload_id: id, part_number: number, status: "uploaded", checksum_sha256: digest(bytes),
        uploaded_parts: uploadedIn(upload), total_parts: upload.parts.length,
      },
    };
  }

  #answer(request, route, body) {
    if (route === "GET /health") return { status: 200, body: { status: "OK", storage: { status: "healthy" } } };
    if (request.headers["x-api-key"] !== this.key) return refusal(401, "This key is not good.");
    if (route === "POST /upload/init") return this.#init(body);
    const id = request.url.split("/")[2];
    const upload = this.uploads.get(id);
    if (!upload) return refusal(404, "No such upload.", "not_found", { id });
    if (route === "GET /upload/ID/status") return this.#status(upload);
    if (route === "POST /upload/ID/complete") return this.#complete(upload);
    this.uploads.delete(id);
    return { status: 200, body: { file_id: id, status: "cancelled", message: "The upload was cancelled." } };
  }

  #init({ filename, total_size: size }) {
    const id = randomUUID();
    const count = Math.ceil(size / this.chunkSize);
    const parts = Array.from({ length: count }, () => ({ tokens: new Set([this.#token()]) }));
    this.uploads.set(id, { id, filename, size, chunkSize: this.chunkSize, parts, isComplete: false });
    return {
      status: 200,
      body: {
        file_id: id, total_parts: count, chunk_size: this.chunkSize, expires_at: "2026-05-06T10:00:00Z",
        parts: parts.map(({ tokens }, part) => ({ part, token: [...tokens][0], status: "pending" })),
      },
    };
  }

  #status(upload) {
    const parts = upload.parts.map(({ bytes, tokens }, part) => {
      if (bytes) return { part, status: "uploaded", checksum_sha256: digest(bytes), uploaded_at: BEGINNING };
      const pending = { part, status: "pending", checksum_sha256: null, uploaded_at: null };
      if (!this.handsOutTokens) return pending;
      const token = this.#token();
      tokens.add(token);
      return { ...pending, token };
    });
    return {
      status: 200,
      body: {
        file_id: upload.id, filename: upload.filename.split("/").at(-1), total_size: upload.size,
        chunk_size: upload.chunkSize, total_parts: parts.length, uploaded_parts: uploadedIn(upload),
        status: upload.isComplete ? "complete" : "pending", progress_percent: 0, parts,
        created_at: BEGINNING, expires_at: "2026-05-06T10:00:00Z",
        final_path: upload.isComplete ? pathOf(upload) : null, storage_backend: "local",
      },
    };
  }

  #complete(upload) {
    const count = uploadedIn(upload);
    if (count < upload.parts.length) return refusal(400, `${count} of ${upload.parts.length} parts are here.`);
    upload.isComplete = true;
    return {
      status: 200,
      body: {
        file_id: upload.id, filename: upload.filename.split("/").at(-1), total_size: upload.size, status: "complete",
        final_path: pathOf(upload), storage_backend: "local",
      },
    };
  }

  #token() {
    this.#tokenCount += 1;
    return `token-${this.#tokenCount}`;
  }
}

/** An error in the server's shape. */
export function refusal(status, error, code, details, headers) {
  return { status, headers, body: { error, status, code, details } };
}

export function pathOf(upload) {
  const cut = upload.filename.lastIndexOf("/");
  const folder = cut < 0 ? "files" : upload.filename.slice(0, cut);
  return `./uploads/${folder}/${upload.id}_${upload.filename.slice(cut + 1)}`;
}

function uploadedIn(upload) {
  return upload.parts.filter((part) => part.bytes).length;
}

function digest(bytes) {
  return createHash("sha256").update(bytes).digest("hex");
}

async function read(stream) {
  const chunks = [];
  for await (const chunk of stream) chunks.push(chunk);
  return Buffer.concat(chunks);
}
