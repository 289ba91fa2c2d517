/**
 * `XMLHttpRequest` as far as the kit uses it, over Node's own sockets: what browsers have and Node has not, with
 * upload progress in small steps.
 */

import { request } from "node:http";

const STEP = 256;

export class HttpXhr {
  upload = {};
  status = 0;
  responseText = "";
  #headers = {};
  #asked = {};

  open(method, url) {
    this.method = method;
    this.url = url;
  }

  setRequestHeader(name, value) {
    this.#asked[name] = value;
  }

  async send(body) {
    const bytes = Buffer.from(await body.arrayBuffer());
    const headers = { ...this.#asked, "Content-Length": bytes.length };
    this.outgoing = request(this.url, { method: this.method, headers });
    this.outgoing.on("error", () => this.isAborted || this.onerror?.());
    this.outgoing.on("response", async (response) => {
      const chunks = [];
      for await (const chunk of response) chunks.push(chunk);
      this.status = response.statusCode;
      this.responseText = Buffer.concat(chunks).toString();
      this.#headers = response.headers;
      if (!this.isAborted) this.onload?.();
    });
    for (let at = 0; at < bytes.length; at += STEP) {
      this.outgoing.write(bytes.subarray(at, at + STEP));
      this.upload.onprogress?.({ loaded: Math.min(bytes.length, at + STEP) });
    }
    this.outgoing.end();
    this.upload.onload?.();
  }

  abort() {
    this.isAborted = true;
    this.outgoing?.destroy();
  }

  getAllResponseHeaders() {
    return Object.entries(this.#headers).map(([name, value]) => `${name}: ${value}\r\n`).join("");
  }
}
