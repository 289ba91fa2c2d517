/**
 * Every way an upload can fail, in one class, apart from the code that talks to servers: whoever shows an
 * error reads `code` and `message`, whoever decides whether to try again reads `isRetryable`.
 */

/**
 * @typedef {object} Problem  a problem document (RFC 9457) as our server writes it
 * @property {string} [type]
 * @property {string} [title]
 * @property {number} [status]
 * @property {string} [detail]
 * @property {string} [request_id]
 * @property {{field: string, detail: string}[]} [errors]
 * @property {Defect[]} [defects]
 * @property {number} [limit]
 */

/**
 * @typedef {object} Defect  one reason why the server does not join the parts yet
 * @property {"missing" | "wrong-size" | "wrong-checksum" | "surplus"} problem
 * @property {number} number
 * @property {number} [expected]
 * @property {number} [actual]
 */

/**
 * @typedef {object} Circumstances  what is known of a failure beside its words
 * @property {number} [status]       HTTP status; absent where no answer arrived
 * @property {boolean} [isRetryable] whether the same request may succeed later
 * @property {number} [retryAfter]   milliseconds that the server asked us to wait
 * @property {boolean} [atOnce]      the next try needs no pause (only its signature was at fault)
 * @property {number} [maxTries]     give up after so many tries, however much patience is left
 * @property {Problem} [problem]
 * @property {unknown} [cause]
 */

export class UploadError extends Error {
  /**
   * @param {string} code  a stable word: the problem type's last segment, or one of our own: `network`,
   *   `stalled`, `refused`, `damaged`, `store-error`, `bad-answer`, `file-changed`, `paused`, `cancelled`, `stopped`
   * @param {string} message  a sentence for a person
   * @param {Circumstances} [about]
   */
  constructor(code, message, about = {}) {
    super(message, { cause: about.cause });
    this.name = "UploadError";
    this.code = code;
    this.status = about.status;
    this.isRetryable = about.isRetryable ?? false;
    this.retryAfter = about.retryAfter ?? 0;
    this.atOnce = about.atOnce ?? false;
    this.maxTries = about.maxTries ?? Infinity;
    this.problem = about.problem;
    /** Set once nobody will try again: patience or the tries are used up. */
    this.gaveUp = false;
  }
}

/** Codes of our own doing: a person paused or cancelled, or another part of the same upload failed for good. */
const INTERRUPTIONS = new Set(["paused", "cancelled", "stopped"]);

/**
 * Whether work ended because somebody here wanted it to end.
 * @param {unknown} thrown
 */
export function isInterruption(thrown) {
  return thrown instanceof UploadError && INTERRUPTIONS.has(thrown.code);
}

/**
 * Turns whatever was thrown into an {@link UploadError}; a mistake in our own code stays visible as `cause`.
 * @param {unknown} thrown
 * @returns {UploadError}
 */
export function asUploadError(thrown) {
  if (thrown instanceof UploadError) return thrown;
  const message = thrown instanceof Error ? thrown.message : String(thrown);
  return new UploadError("internal", `The upload stopped unexpectedly: ${message}`, { cause: thrown });
}

/**
 * Throws the signal's reason once it was aborted.
 * @param {AbortSignal} signal
 */
export function throwIfAborted(signal) {
  if (signal.aborted) throw signal.reason;
}
