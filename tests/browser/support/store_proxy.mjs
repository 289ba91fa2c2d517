// A proxy on loopback between the browser and the store: it slows uploads down so that there is a "middle" to
// disturb, fails on purpose, and keeps the record that the tests judge by. `Host` is passed on unchanged, because
// signatures cover it.

import { Agent, createServer, request } from "node:http";
import { sleep } from "./processes.mjs";

/** Ways in which a part may fail; `pass` is none of them. */
export const FAULTS = [
  "503", // the store is busy and says so
  "503-without-cors", // the same from a gateway that knows no CORS: the browser sees a network failure
  "reset-in-body", // the connection dies while the part is on its way
  "lost-answer", // the part is stored, the answer never arrives
];
/** `flipped` is another, which only checksums survive: one bit of the part turns over on its way. */

/**
 * One PUT of a part.
 * @typedef {object} PartRequest
 * @property {string} uploadId
 * @property {number} number
 * @property {number} size declared bytes
 * @property {string} signedAt `X-Amz-Date` of the URL
 * @property {number} beganAt ms on the proxy's clock
 * @property {number} [acknowledgedAt] when a 2xx had been handed to the browser's connection
 * @property {number} [status] what the browser was told
 * @property {string} fault
 * @property {Record<string, string>} checksums the headers with a checksum of the part
 */

const IS_CHECKSUM = /^(x-amz-checksum-.*|content-md5)$/;

export class StoreProxy {
  /**
   * @param {string} target the store's address
   * @param {object} [behaviour]
   * @param {number} [behaviour.bytesPerSecond] of all request bodies together
   * @param {number} [behaviour.latency] ms before each request is passed on
   * @param {(part: PartRequest) => string} [behaviour.fault] chooses what happens to a part
   * @param {(request: { method: string, path: string, headers: object }) => string} [behaviour.otherFault] the same for
   *   all others
   */
  static async start(target, behaviour = {}) {
    const proxy = new StoreProxy();
    Object.assign(proxy, { target: new URL(target), behaviour });
    /** @type {PartRequest[]} */
    proxy.parts = [];
    proxy.running = 0;
    proxy.mostAtOnce = 0;
    proxy.nextSlot = 0;
    proxy.agent = new Agent({ keepAlive: true, maxSockets: 64 });
    proxy.server = createServer((incoming, outgoing) => {
      proxy.handle(incoming, outgoing).catch(() => outgoing.destroy());
    });
    /** Connections that were refused since {@link cut}. */
    proxy.refusals = 0;
    proxy.server.on("connection", (socket) => {
      if (!proxy.isCut) return;
      proxy.refusals += 1;
      socket.resetAndDestroy();
    });
    proxy.server.requestTimeout = 0;
    proxy.server.keepAliveTimeout = 60_000;
    await new Promise((resolve) => proxy.server.listen(0, "127.0.0.1", resolve));
    proxy.url = `http://127.0.0.1:${proxy.server.address().port}`;
    return proxy;
  }

  async stop() {
    this.agent.destroy();
    this.server.closeAllConnections();
    await new Promise((resolve) => this.server.close(resolve));
  }

  /** Breaks all connections of browsers and takes no new ones, until {@link mend}: what a strict firewall does. */
  cut() {
    this.isCut = true;
    this.server.closeAllConnections();
  }

  /** The store can be reached again. */
  mend() {
    this.isCut = false;
  }

  /** Part requests after which the browser had its acknowledgement. */
  get acknowledged() {
    return this.parts.filter((part) => part.acknowledgedAt !== undefined);
  }

  /** Requests that sent a part again although it had been acknowledged before they began. */
  get sentAgain() {
    return this.parts.filter((part) =>
      this.acknowledged.some(
        (done) => done.uploadId === part.uploadId && done.number === part.number && done.acknowledgedAt < part.beganAt,
      ));
  }

  async handle(incoming, outgoing) {
    const url = new URL(incoming.url, this.target);
    const number = url.searchParams.get("partNumber");
    if (incoming.method !== "PUT" || number === null) {
      const fault = this.behaviour.otherFault?.({
        method: incoming.method, path: incoming.url, headers: incoming.headers,
      }) ?? "pass";
      return this.serve(incoming, outgoing, fault);
    }
    const part = {
      uploadId: url.searchParams.get("uploadId"),
      number: Number(number),
      size: Number(incoming.headers["content-length"]),
      signedAt: url.searchParams.get("X-Amz-Date"),
      beganAt: performance.now(),
      fault: "pass",
      checksums: Object.fromEntries(Object.entries(incoming.headers).filter(([name]) => IS_CHECKSUM.test(name))),
    };
    part.fault = this.behaviour.fault?.(part) ?? "pass";
    this.parts.push(part);
    this.running += 1;
    this.mostAtOnce = Math.max(this.mostAtOnce, this.running);
    outgoing.once("finish", () => {
      part.status = outgoing.statusCode;
      if (outgoing.statusCode < 300 && !incoming.socket.destroyed) part.acknowledgedAt = performance.now();
    });
    outgoing.once("close", () => (this.running -= 1));
    await this.serve(incoming, outgoing, part.fault);
  }

  async serve(incoming, outgoing, fault) {
    if (this.behaviour.latency) await sleep(this.behaviour.latency);
    if (fault === "500") {
      incoming.resume();
      outgoing.writeHead(500, { "content-type": "application/xml" });
      outgoing.end("<Error><Code>InternalError</Code><Message>We encountered an internal error.</Message></Error>");
      return;
    }
    if (fault === "503" || fault === "503-without-cors") {
      for await (const chunk of incoming) await this.slowDown(chunk.length);
      const cors = fault === "503" ? { "access-control-allow-origin": "*" } : {};
      outgoing.writeHead(503, { ...cors, "content-type": "application/xml" });
      outgoing.end("<Error><Code>SlowDown</Code><Message>Please reduce your request rate.</Message></Error>");
      return;
    }
    const answer = await this.passOn(incoming, fault === "reset-in-body", fault === "flipped");
    if (answer === undefined || fault === "lost-answer") {
      answer?.resume();
      incoming.socket.resetAndDestroy();
      return;
    }
    outgoing.writeHead(answer.statusCode, answer.statusMessage, answer.rawHeaders);
    answer.on("error", () => outgoing.destroy());
    answer.pipe(outgoing);
  }

  /** Sends the request to the store; `undefined` where either side broke off. */
  async passOn(incoming, breakInBody, flips = false) {
    const upstream = request(this.target, {
      agent: this.agent, method: incoming.method, path: incoming.url, headers: incoming.headers,
    });
    let early;
    const answered = new Promise((resolve) => {
      upstream.once("response", (answer) => resolve((early = answer)));
      upstream.once("error", () => resolve(undefined));
    });
    const breakAfter = breakInBody ? Number(incoming.headers["content-length"] ?? 0) / 2 : Infinity;
    let sent = 0;
    try {
      for await (const chunk of incoming) {
        await this.slowDown(chunk.length);
        if (flips && sent === 0) chunk[0] ^= 1;
        sent += chunk.length;
        if (sent > breakAfter) break;
        // A store that refuses by the headers alone answers at once, and may take no more of the body.
        if (!early && !upstream.write(chunk)) await drained(upstream, answered);
      }
    } catch {
      sent = Infinity;
    }
    if (breakInBody || sent === Infinity) {
      // The browser went away, or we play a connection that dies: the store must see a broken request, too.
      upstream.destroy();
      return undefined;
    }
    if (!early) upstream.end();
    return answered;
  }

  /** Waits until `bytes` more fit under the limit that all requests share. */
  async slowDown(bytes) {
    const rate = this.behaviour.bytesPerSecond;
    if (!rate) return;
    const now = performance.now();
    const slot = Math.max(now, this.nextSlot);
    this.nextSlot = slot + (bytes / rate) * 1000;
    if (slot > now) await sleep(slot - now);
  }
}

/** Waits until a stream takes more, or there is no use in sending more. */
async function drained(stream, answered) {
  let done;
  const ready = new Promise((resolve) => stream.on("drain", (done = resolve)).on("close", done));
  await Promise.race([ready, answered]);
  stream.off("drain", done).off("close", done);
}
