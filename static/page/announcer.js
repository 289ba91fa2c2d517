/**
 * Speaks to screen readers, politely and not too often: at every tenth of a file and when something ends.
 */

/** No two messages within this time; what comes meanwhile is spoken together. */
const BREATH = 1500;
const STEP = 10;

export class Announcer {
  /** @type {string[]} */
  #waiting = [];
  #isBreathing = false;
  /** @type {WeakMap<object, number>} the last tenth spoken of each upload */
  #spoken = new WeakMap();

  /** @param {HTMLElement} region  a live region */
  constructor(region) {
    this.region = region;
  }

  /** @param {string} words */
  say(words) {
    this.#waiting.push(words);
    if (!this.#isBreathing) this.#speak();
  }

  /**
   * @param {object} upload
   * @param {string} name
   * @param {number} percent
   */
  progress(upload, name, percent) {
    const tenth = Math.floor(percent / STEP) * STEP;
    if (tenth <= (this.#spoken.get(upload) ?? 0) || tenth >= 100) return;
    this.#spoken.set(upload, tenth);
    this.say(`${name}: ${tenth} percent.`);
  }

  #speak() {
    this.#isBreathing = true;
    this.region.textContent = this.#waiting.splice(0).join(" ");
    setTimeout(() => {
      this.#isBreathing = false;
      if (this.#waiting.length > 0) this.#speak();
    }, BREATH);
  }
}
