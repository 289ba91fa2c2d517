/**
 * The parts of one file: where each begins and ends, and which are missing, under way and done. Numbers begin
 * at 1, as the store counts. Kept apart from sending, because the page draws it and the signatures look ahead
 * in it.
 */

import { UploadError } from "./errors.js";

export const MISSING = 0;
export const UNDER_WAY = 1;
export const DONE = 2;

/**
 * @typedef {object} StoredPart
 * @property {number} number
 * @property {number} size  bytes
 * @property {string | null} [etag]
 * @property {Record<string, string>} [checksums]  base64 by the algorithm's name
 */

export class Slices {
  /** Where the search for a missing part begins: every part below is under way or done. */
  #next = 1;
  /** Every part below is done. */
  #firstUndone = 1;
  /** @type {Map<number, number>} bytes of each part under way that have left */
  #sent = new Map();
  #acknowledged = 0;
  #doneCount = 0;

  /**
   * @param {number} size  bytes of the whole file
   * @param {number} partSize  bytes of every part but the last
   * @param {number} count  0 for an empty file
   */
  constructor(size, partSize, count) {
    this.size = size;
    this.partSize = partSize;
    this.count = count;
    /** One of {@link MISSING}, {@link UNDER_WAY}, {@link DONE} for each part; part 1 is at index 0. */
    this.states = new Uint8Array(count);
  }

  /** Bytes that the store has acknowledged. */
  get acknowledged() {
    return this.#acknowledged;
  }

  /** Bytes that have left in parts which the store has not acknowledged yet. */
  get inFlight() {
    let sum = 0;
    for (const bytes of this.#sent.values()) sum += bytes;
    return sum;
  }

  get doneCount() {
    return this.#doneCount;
  }

  /** Whether any part is on its way or waits for its next try. */
  get isMoving() {
    return this.states.includes(UNDER_WAY);
  }

  get isWhole() {
    return this.#doneCount === this.count;
  }

  /**
   * Bytes of one part.
   * @param {number} number
   */
  sizeOf(number) {
    return Math.min(this.partSize, this.size - (number - 1) * this.partSize);
  }

  /**
   * The bytes of one part, not read yet. The slice has no type, so that no `Content-Type` is sent that was not
   * signed.
   * @param {Blob} file
   * @param {number} number
   */
  cut(file, number) {
    const start = (number - 1) * this.partSize;
    return file.slice(start, start + this.sizeOf(number));
  }

  /**
   * Takes the first missing part; null when none is left.
   * @returns {number | null}
   */
  claim() {
    while (this.#next <= this.count && this.states[this.#next - 1] !== MISSING) this.#next += 1;
    if (this.#next > this.count) return null;
    this.states[this.#next - 1] = UNDER_WAY;
    return this.#next;
  }

  /**
   * How much of a part under way has left.
   * @param {number} number
   * @param {number} bytes
   */
  sent(number, bytes) {
    if (this.states[number - 1] === UNDER_WAY) this.#sent.set(number, bytes);
  }

  /**
   * The store has acknowledged this part.
   * @param {number} number
   */
  done(number) {
    this.#sent.delete(number);
    if (this.states[number - 1] === DONE) return;
    this.states[number - 1] = DONE;
    this.#doneCount += 1;
    this.#acknowledged += this.sizeOf(number);
  }

  /**
   * This part has to be sent (again).
   * @param {number} number
   */
  missing(number) {
    this.#sent.delete(number);
    if (this.states[number - 1] === DONE) {
      this.#doneCount -= 1;
      this.#acknowledged -= this.sizeOf(number);
    }
    this.states[number - 1] = MISSING;
    this.#next = Math.min(this.#next, number);
    this.#firstUndone = Math.min(this.#firstUndone, number);
  }

  /**
   * Takes over what the store says it holds; everything else is missing. Parts of a wrong size do not count.
   * @param {Iterable<StoredPart>} held
   */
  adopt(held) {
    this.states.fill(MISSING);
    this.#sent.clear();
    this.#next = 1;
    this.#firstUndone = 1;
    this.#acknowledged = 0;
    this.#doneCount = 0;
    for (const { number, size } of held) {
      if (number >= 1 && number <= this.count && size === this.sizeOf(number)) this.done(number);
    }
  }

  /** Whether any part is left that nobody has taken yet. */
  get hasMissing() {
    for (let n = this.#next; n <= this.count; n += 1) if (this.states[n - 1] === MISSING) return true;
    return false;
  }

  /**
   * The first parts that are not done: those under way and the next in line.
   * @param {number} limit
   * @returns {number[]}
   */
  outstanding(limit) {
    while (this.#firstUndone <= this.count && this.states[this.#firstUndone - 1] === DONE) this.#firstUndone += 1;
    const numbers = [];
    for (let n = this.#firstUndone; n <= this.count && numbers.length < limit; n += 1) {
      if (this.states[n - 1] !== DONE) numbers.push(n);
    }
    return numbers;
  }
}

/**
 * Browsers hide the reason of a failed request, so a file that was changed, moved or deleted meanwhile looks
 * like a broken connection. Reading one byte tells the difference.
 *
 * @param {Blob} slice
 * @throws {UploadError} `file-changed`
 */
export async function assertReadable(slice) {
  try {
    await slice.slice(0, 1).arrayBuffer();
  } catch (cause) {
    throw new UploadError(
      "file-changed",
      "The file can no longer be read: it was changed, moved or deleted since it was chosen. Choose it again.",
      { cause },
    );
  }
}
