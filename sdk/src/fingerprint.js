/**
 * What tells one file from another of the same name and size, cheaply: its first and last 64 KiB. Reading all
 * of a 100 GB file before its first byte leaves would cost more than the upload.
 */

/** @typedef {import("./environment.js").Environment} Environment */

const SAMPLE = 64 * 1024;

/**
 * The same file always gives the same text, on every page and in every browser.
 *
 * @param {Blob} file
 * @param {{name: string, lastModified?: number}} about
 * @param {Environment} env
 * @returns {Promise<string | undefined>} 64 hex digits; undefined where the browser has no `crypto.subtle`
 *   (pages loaded over plain http) or the file cannot be read: then the server knows the file again by name,
 *   size and time
 */
export async function fingerprint(file, { name, lastModified }, env) {
  if (!env.subtle) return undefined;
  const head = new TextEncoder().encode(`${name}\n${file.size}\n${lastModified ?? ""}\n`);
  const samples = new Blob([head, file.slice(0, SAMPLE), file.slice(Math.max(SAMPLE, file.size - SAMPLE))]);
  const digest = await env.subtle.digest("SHA-256", await samples.arrayBuffer());
  return Array.from(new Uint8Array(digest), (byte) => byte.toString(16).padStart(2, "0")).join("");
}
