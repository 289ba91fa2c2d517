/**
 * The bytes to be sent, whatever they came in. Separate, so that nobody else has to know which kinds there are, and so
 * that there is one place where a slice is cut: always a view or a reference, never a copy.
 */

import { ChunkedUploaderError } from "./errors.js";

/**
 * @typedef {import("./types.js").FileSource} FileSource
 *
 * @typedef {object} Source
 * @property {string} name  a File's own; `blob` or `file` for what has none
 * @property {number} size  bytes
 * @property {(start: number, end: number) => Blob | Uint8Array<ArrayBuffer>} cut  bytes from `start` up to before `end`
 */

/**
 * @param {FileSource} file
 * @returns {Source}
 * @throws {ChunkedUploaderError} `unsupported-source`
 */
export function sourceOf(file) {
  if (file instanceof Blob) {
    const name = "name" in file && typeof file.name === "string" ? file.name : "blob";
    return { name, size: file.size, cut: (start, end) => file.slice(start, end) };
  }
  const bytes = viewOf(file);
  return { name: "file", size: bytes.byteLength, cut: (start, end) => bytes.subarray(start, end) };
}

/**
 * The whole of it as the body of one request.
 * @param {FileSource} data
 * @returns {Blob | Uint8Array<ArrayBuffer>}
 * @throws {ChunkedUploaderError} `unsupported-source`
 */
export function bodyOf(data) {
  return data instanceof Blob ? data : viewOf(data);
}

/**
 * @param {ArrayBuffer | Uint8Array} data
 * @returns {Uint8Array<ArrayBuffer>}
 */
function viewOf(data) {
  if (data instanceof ArrayBuffer) return new Uint8Array(data);
  if (!ArrayBuffer.isView(data)) {
    const message = "Only a File, a Blob, an ArrayBuffer or a Buffer can be uploaded.";
    throw new ChunkedUploaderError(message, undefined, "unsupported-source");
  }
  // A Buffer is often a window on a larger block: its own bytes only.
  return new Uint8Array(/** @type {ArrayBuffer} */ (data.buffer), data.byteOffset, data.byteLength);
}
