/**
 * The server's time, kept without the browser's wall clock, which may be a day off. The server's own `Date` is
 * held against a clock that only moves forward; every "expires at" becomes a moment on that clock.
 */

/** @typedef {import("../../environment.js").Environment} Environment */

export class ServerClock {
  /** Server time minus local steady time, in milliseconds. @type {number | null} */
  #ahead = null;

  /** @param {Environment} env */
  constructor(env) {
    this.env = env;
  }

  get isSet() {
    return this.#ahead !== null;
  }

  /**
   * @param {string | null | undefined} time  as in `Date` or as RFC 3339
   * @param {number} askedAt  the steady clock when the request left: the earlier moment makes for earlier,
   *   safer expiries
   */
  hear(time, askedAt) {
    const server = time ? Date.parse(time) : NaN;
    if (Number.isFinite(server)) this.#ahead = server - askedAt;
  }

  /**
   * @param {string} time  RFC 3339, of the server
   * @returns {number} that moment on the steady clock; now where the server's time was never heard
   */
  steady(time) {
    return this.#ahead === null ? this.env.now() : Date.parse(time) - this.#ahead;
  }
}
