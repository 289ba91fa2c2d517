/** The usual beginning of a test of the chunk server's SDK: a server, a world that obeys, an uploader. */

import { ChunkedUploader } from "../../src/index.js";
import { ChunkServer } from "./chunk_server.js";
import { World } from "./environment.js";

export async function chunkScene(t, { config, ...settings } = {}) {
  const world = new World();
  const server = await Object.assign(new ChunkServer(), settings).listen();
  t.after(() => server.close());
  /** A new instance, as after a restart of the application: it knows nothing of earlier ones. */
  const uploader = (more = {}) =>
    new ChunkedUploader({ baseUrl: server.url, apiKey: server.key, ...config, ...more }, world.environment());
  return { world, server, uploader };
}

/** Bytes that depend on their place. */
export function bytes(size) {
  return Buffer.from(Uint8Array.from({ length: size }, (_, index) => (index * 31 + (index >> 8)) % 251));
}

/** A File as browsers have it; Node 18 keeps its class in `node:buffer`. */
export async function fileOf(content, name) {
  const { File } = await import("node:buffer");
  return new File([content], name, { type: "video/mp4" });
}

/** Everything that the callbacks hear, in order. */
export function listening() {
  const heard = { progress: [], parts: [], errors: [], inits: [] };
  return {
    heard,
    onInit: (init) => heard.inits.push(init),
    onProgress: (event) => heard.progress.push(event),
    onPartComplete: (result) => heard.parts.push(result),
    onPartError: (...news) => heard.errors.push(news),
  };
}
