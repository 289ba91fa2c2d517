/** The usual beginning of a test: a backend, a world that obeys, and an upload of some bytes. */

import { Upload, native, NativeApi } from "../../src/index.js";
import { Backend, SERVER_EPOCH } from "./backend.js";
import { World } from "./environment.js";

export async function scene(t, { env: overrides, fallback, ...settings } = {}) {
  const world = new World();
  const backend = Object.assign(new Backend(), settings);
  backend.now = () => SERVER_EPOCH + world.time;
  await backend.listen();
  t.after(() => backend.close());
  const env = world.environment(overrides);
  const api = new NativeApi({ url: backend.api, env });
  const protocol = native({ api, fallback });
  const upload = (size, options = {}) => new Upload(file(size, options.fileName), { protocol, env, ...options });
  return { world, backend, env, api, protocol, upload };
}

/** A file whose every byte depends on its place. */
export function file(size, name = "film.mp4", lastModified = 1_777_975_200_000) {
  const bytes = Uint8Array.from({ length: size }, (_, index) => (index * 31 + (index >> 8)) % 251);
  return Object.assign(new Blob([bytes], { type: "video/mp4" }), { name, lastModified });
}

export async function bytesOf(blob) {
  return Buffer.from(await blob.arrayBuffer());
}
