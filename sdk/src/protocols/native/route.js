/**
 * Which way parts go: straight to the store, or through our server while this browser cannot reach the store. Kept
 * apart from sending, and one for all uploads of a protocol: what one part learns about the line, no other part and
 * no other file has to learn again.
 *
 *              failures in a row, each of a newly signed address
 *   straight ────────────────────────────────────────────────────▶ through our server
 *      ▲                                                              │  now and then one part goes straight,
 *      └──────────────────────────────────────────────────────────────┘  a probe: the store takes it, or a later one
 *
 * A browser shows no difference between a line that is cut and a store that refuses a signature without CORS headers
 * (radosgw does). So a failure counts only when its address was signed after the failure counted before it. That one
 * rule also says that our server answers, and that sixteen workers cut off at once have failed once.
 */

/**
 * @typedef {import("../../environment.js").Environment} Environment
 * @typedef {import("../../retry.js").Policy} Policy
 * @typedef {"direct" | "relay" | "probe"} Choice  a probe goes straight, and through us at once if that fails
 */

/** A stall takes a quarter of a minute or more; a refused signature answers at once and never looks like one. */
const STALL_COUNTS = 2;
/** Who moves for longer than this part of the stall limit fills no buffer, but a line. */
const MOVING_SHARE = 1 / 3;

export class Route {
  #isRelaying = false;
  /** Failures in a row, counted as the rule above says. */
  #failures = 0;
  /** When the last failure was counted, on the steady clock. */
  #failedAt = -Infinity;
  /** When a part was last seen moving steadily towards the store. */
  #movedAt = -Infinity;
  #isProbing = false;
  #probeAt = 0;
  /** Milliseconds from the next failure to the probe after it; 0 before the first. */
  #nextPause = 0;

  /** @param {Pick<Environment, "now" | "isOnline">} env */
  constructor(env) {
    this.env = env;
  }

  /** Whether parts go through our server, probes aside. */
  get isRelaying() {
    return this.#isRelaying;
  }

  /**
   * The way of the next part. Whoever gets a probe must end it with {@link endProbe}: there is no other until then.
   * @returns {Choice}
   */
  choose() {
    if (!this.#isRelaying) return "direct";
    if (this.#isProbing || this.env.now() < this.#probeAt) return "relay";
    this.#isProbing = true;
    return "probe";
  }

  /**
   * The store has answered a part that went straight.
   * @param {boolean} isTaken  whether it has the part; a refusal shows that it can be reached, not that it can be used
   */
  answered(isTaken) {
    this.#failures = 0;
    if (!isTaken) return;
    // A store that takes one part and then is gone again is probed as rarely as if it had never answered.
    if (!this.#isRelaying) this.#nextPause = 0;
    this.#isRelaying = false;
  }

  /**
   * A part that went straight got no answer.
   * @param {{askedAt: number, isStall: boolean}} failure  `askedAt`: when its address was asked for
   * @param {Policy} policy
   */
  failed({ askedAt, isStall }, policy) {
    const now = this.env.now();
    if (this.#isRelaying || !this.env.isOnline()) return;
    // Others move: it waits in a browser's queue (six connections for sixteen workers), or the line is slow.
    if (isStall && now - this.#movedAt < policy.stallAfter) return;
    const isFirst = this.#failures === 0;
    if (!isFirst && askedAt <= this.#failedAt) return;
    this.#failures += isStall ? STALL_COUNTS : 1;
    this.#failedAt = now;
    if (isFirst || this.#failures < policy.relayAfter) return;
    this.#isRelaying = true;
    this.#failures = 0;
    this.#scheduleProbe(policy);
  }

  /**
   * Watches one part on its straight way.
   * @param {Policy} policy
   * @returns {(bytes: number) => void} to be told of its progress
   */
  watch(policy) {
    /** @type {number | undefined} */
    let since;
    return (bytes) => {
      if (bytes === 0) return;
      const now = this.env.now();
      since ??= now;
      if (now - since >= policy.stallAfter * MOVING_SHARE) this.#movedAt = now;
    };
  }

  /**
   * @param {"taken" | "failed" | "interrupted"} outcome  an interrupted probe has told nothing: the next part is one
   * @param {Policy} policy
   */
  endProbe(outcome, policy) {
    this.#isProbing = false;
    if (outcome === "failed") this.#scheduleProbe(policy);
  }

  /**
   * Our server cannot be reached either, so there is less to lose: the next probe comes as soon as the first did.
   * @param {Policy} policy
   */
  relayFailed(policy) {
    this.#probeAt = Math.min(this.#probeAt, this.env.now() + policy.firstProbe);
  }

  /** @param {Policy} policy */
  #scheduleProbe(policy) {
    const pause = this.#nextPause || policy.firstProbe;
    this.#probeAt = this.env.now() + pause;
    this.#nextPause = Math.min(policy.longestProbePause, pause * 2);
  }
}
