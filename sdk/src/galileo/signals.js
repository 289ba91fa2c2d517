/**
 * What the server of GalileoSend says, as one of a few shapes; anything else is a bad answer. Nothing here sends or
 * decides.
 */

import { UploadError } from "../errors.js";

/**
 * @typedef {object} Arrived  the file is in its place
 * @property {string} [upload]  the upload's id
 * @property {string} [path]  where it is
 * @property {number} [size]  bytes
 * @property {{type: string, value: string}} [hash]  what the server computed
 *
 * @typedef {object} Ready  the next chunk may come
 * @property {number} [chunksize]  most bytes of a message
 * @property {string} [upload]  the id to go on with; absent from servers that know no protocol 2
 * @property {number} [offset]  bytes that are stored for good: all before it need not be sent again
 * @property {number} [window]  how many bytes beyond it may be under way
 *
 * @typedef {{kind: "close", arrived: Arrived} | {kind: "ready", ready: Ready}
 *   | {kind: "error", fatal: boolean, error: UploadError} | {kind: "nothing"}} Signal
 */

/** The server is well or will be: the same again may succeed. */
const PASSING = new Set(["stopping", "idle", "busy", "unavailable", "interrupted", "still_completing", "internal"]);

/**
 * @param {unknown} data
 * @returns {Signal}
 */
export function read(data) {
  const signal = parse(data);
  if (signal.close) {
    const { upload, path, size, hash } = signal;
    return { kind: "close", arrived: { upload, path, size, hash } };
  }
  if (signal.error) {
    const code = typeof signal.code === "string" ? signal.code : "refused";
    const error = new UploadError(code, String(signal.error), { isRetryable: PASSING.has(code) });
    return { kind: "error", fatal: Boolean(signal.fatal), error };
  }
  if (signal.ready) return { kind: "ready", ready: signal };
  return { kind: "nothing" };
}

/**
 * @param {unknown} data
 * @returns {any}
 */
function parse(data) {
  try {
    const signal = JSON.parse(String(data));
    if (typeof signal === "object" && signal !== null) return signal;
  } catch {
    // As below.
  }
  throw new UploadError("bad-answer", "The upload server's answer could not be read. Is there something in between?");
}
