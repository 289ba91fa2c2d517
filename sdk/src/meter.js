/**
 * Speed and time left from what has moved in the last seconds. Parts come in lumps, so a momentary rate would
 * jump; an average since the start would hide that the line has become slow.
 */

const WINDOW = 12_000;
const SHORTEST = 1_000;
const SPACING = 200;

export class Meter {
  /** @type {{at: number, bytes: number}[]} */
  #samples = [];

  /**
   * @param {number} at  milliseconds on a clock that never jumps
   * @param {number} bytes  moved so far, from the file's beginning
   */
  sample(at, bytes) {
    const last = this.#samples.at(-1);
    // A part that failed takes back what it had counted; the rate must not become negative for it.
    if (last && bytes < last.bytes) this.#samples = [];
    const before = this.#samples.at(-2);
    if (before && at - before.at < SPACING) this.#samples.pop();
    this.#samples.push({ at, bytes });
    while (this.#samples.length > 2 && at - this.#samples[0].at > WINDOW) this.#samples.shift();
  }

  /** Forgets everything: after a pause the old rate says nothing. */
  reset() {
    this.#samples = [];
  }

  /** @returns {number | null} bytes a second; null while too little is known */
  get speed() {
    const first = this.#samples[0];
    const last = this.#samples.at(-1);
    if (!first || !last || last.at - first.at < SHORTEST) return null;
    return ((last.bytes - first.bytes) * 1000) / (last.at - first.at);
  }

  /**
   * @param {number} remaining  bytes
   * @returns {number | null} seconds; null while nothing moves
   */
  secondsLeft(remaining) {
    const speed = this.speed;
    return speed ? remaining / speed : null;
  }
}
