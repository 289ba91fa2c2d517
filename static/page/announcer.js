/**
 * Speaks to screen readers, politely and not too often: at every tenth of a file and when something ends.
 */

/** No two messages within this time; what comes meanwhile is spoken together. */
const BREATH = 1500;
const STEP = 10;
/** Files that begin one after another say the same of the way; it is spoken again only after this time. */
const ROUTE_REMINDER = 120_000;

export class Announcer {
  /** @type {string[]} */
  #waiting = [];
  #isBreathing = false;
  /** @type {WeakMap<object, number>} the last tenth spoken of each upload */
  #spoken = new WeakMap();
  #route = { spoken: "direct", at: -Infinity };

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

  /**
   * The way is the same for all files, so a change is spoken once, whichever file hears of it first.
   * @param {"direct" | "relay"} route
   */
  route(route) {
    const now = performance.now();
    if (route === this.#route.spoken && now - this.#route.at < ROUTE_REMINDER) return;
    this.#route = { spoken: route, at: now };
    this.say(route === "relay"
      ? "The store cannot be reached from here. Files go through the server."
      : "The store can be reached again. Files go straight to it.");
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
