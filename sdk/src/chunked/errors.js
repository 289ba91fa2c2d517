/**
 * What goes wrong between an application and the chunk server, in the class that its published SDK throws.
 * Apart from the kit's own `UploadError`, because applications test for this one by name and read its members.
 */

import { isPassing } from "../http.js";

/**
 * @typedef {object} ErrorCircumstances  what is known of a failure beside the server's words
 * @property {unknown} [cause]
 * @property {number} [retryAfter]  milliseconds that the server asked us to wait
 */

/** A failure of one request, or of an upload as a whole. */
export class ChunkedUploaderError extends Error {
  /**
   * @param {string} message  a sentence for a person
   * @param {number} [statusCode]  HTTP status; absent where no answer arrived
   * @param {string} [code]  a stable word: the server's own (`part_conflict`, `finalizing`), or one of ours: `network`,
   *   `timeout`, `bad-answer`, `aborted`, `invalid-options`, `unsupported-source`, `size-mismatch`, `tokens-missing`,
   *   `parts-unknown`
   * @param {unknown} [details]  whatever the server added
   * @param {ErrorCircumstances} [about]
   */
  constructor(message, statusCode, code, details, about = {}) {
    super(message, { cause: about.cause });
    this.name = "ChunkedUploaderError";
    /** HTTP status; undefined where no answer arrived. */
    this.statusCode = statusCode;
    /** A stable word, where there is one. */
    this.code = code;
    /** Whatever the server added to its words. */
    this.details = details;
    /** Milliseconds that the server asked us to wait; 0 where it did not ask. */
    this.retryAfter = about.retryAfter ?? 0;
  }
}

/**
 * Whether the same request may succeed later. A refusal (4xx) stays one, except the three that mean "not now"; an
 * answer that could not be read, or none at all, says nothing about the request.
 * @param {unknown} thrown
 */
export function mayPass(thrown) {
  if (!(thrown instanceof ChunkedUploaderError)) return false;
  return thrown.statusCode === undefined || thrown.statusCode < 400 || isPassing(thrown.statusCode);
}

/**
 * Ends work between two requests. During a request the platform's own abort error comes out instead.
 * @param {AbortSignal} signal
 */
export function throwIfStopped(signal) {
  if (signal.aborted) throw new ChunkedUploaderError("Upload aborted", undefined, "aborted", undefined, {
    cause: signal.reason,
  });
}

/**
 * A signal may be aborted with anything; whoever reads `result.error` may count on an Error.
 * @param {unknown} thrown
 * @returns {Error}
 */
export function asError(thrown) {
  return thrown instanceof Error ? thrown : new Error(String(thrown), { cause: thrown });
}
