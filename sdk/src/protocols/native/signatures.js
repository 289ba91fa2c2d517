/**
 * Signed part addresses, fetched ahead of the workers so that none of them waits, and replaced before they
 * expire. Nothing here sends a part.
 */

import { isInterruption, throwIfAborted, UploadError } from "../../errors.js";

/**
 * @typedef {import("../../retry.js").Policy} Policy
 * @typedef {import("../../slices.js").Slices} Slices
 * @typedef {import("./api.js").NativeApi} NativeApi
 *
 * @typedef {object} Batch  what one answer's addresses have in common
 * @property {string} head
 * @property {string} middle
 * @property {string} tail
 * @property {number} staleAt    steady clock: from here on a replacement is fetched in the background
 * @property {number} unusableAt steady clock: from here on a worker rather waits for the replacement
 *
 * @typedef {{policy: Policy, signal: AbortSignal, onRetry?: (retry: import("../../retry.js").Retry) => void}} Run
 *
 * @typedef {(body: {parts: string | number[], format: "compact"}, run: Run) => Promise<any>} AskForSignatures
 */

/** How many parts ahead are signed in one call; some 20 kB in the compact format. */
const WINDOW = 256;
/** Fetch more when fewer of the next parts than this have an address: four rounds of sixteen workers. */
const LOW_WATER = 64;
/** An address is not used in its last seconds: the request may sit in the browser's queue for a while. */
const LONGEST_MARGIN = 60_000;

export class Signatures {
  /** @type {Map<number, {signature: string, batch: Batch}>} */
  #held = new Map();
  /** Parts whose last try got no answer: a refusal without CORS headers looks just like that. */
  #doubtful = new Set();
  /** @type {Promise<void> | null} */
  #fetching = null;

  /**
   * @param {NativeApi} api
   * @param {AskForSignatures} ask
   * @param {Slices} slices  says which parts come next
   */
  constructor(api, ask, slices) {
    this.api = api;
    this.ask = ask;
    this.slices = slices;
  }

  /**
   * The address to put this part to.
   * @param {number} number
   * @param {Run} run
   * @returns {Promise<string>}
   */
  async take(number, run) {
    if (this.#doubtful.has(number)) await this.#tryToReplace(number, run);
    while (!this.#isUsable(number)) {
      await this.#fetch([number, ...this.#unsigned(WINDOW)], run);
      throwIfAborted(run.signal);
    }
    this.#lookAhead(run);
    const { signature, batch } = /** @type {{signature: string, batch: Batch}} */ (this.#held.get(number));
    return `${batch.head}${number}${batch.middle}${signature}${batch.tail}`;
  }

  /**
   * The store refused this address: it and all that came with it are dropped.
   * @param {number} number
   */
  refuse(number) {
    const refused = this.#held.get(number)?.batch;
    for (const [other, { batch }] of this.#held) {
      if (batch === refused) this.#held.delete(other);
    }
  }

  /**
   * No answer came: sign this part anew before the next try, if our server can be asked at all.
   * @param {number} number
   */
  doubt(number) {
    this.#doubtful.add(number);
  }

  /**
   * This part is stored; its address is of no more use.
   * @param {number} number
   */
  spend(number) {
    this.#held.delete(number);
    this.#doubtful.delete(number);
  }

  /**
   * One try only: while our server is away, an old address that has not expired is better than none.
   * @param {number} number
   * @param {Run} run
   */
  async #tryToReplace(number, run) {
    this.#doubtful.delete(number);
    const policy = { ...run.policy, patience: -1 };
    await this.#fetchNow([number], { policy, signal: run.signal }).catch((error) => {
      throwIfAborted(run.signal);
      if (!(error instanceof UploadError && error.gaveUp)) throw error;
    });
  }

  /** @param {Run} run */
  #lookAhead(run) {
    const next = this.slices.upcoming(LOW_WATER);
    if (next.every((number) => this.#isFresh(number))) return;
    // Whoever needs the address will ask again and hear of the failure.
    this.#fetch(this.#unsigned(WINDOW), run).catch(() => {});
  }

  /**
   * One fetch at a time; joins the one under way, whatever it is for.
   * @param {number[]} numbers
   * @param {Run} run
   */
  async #fetch(numbers, run) {
    if (!this.#fetching) {
      this.#fetching = this.#fetchNow(numbers, run).finally(() => {
        this.#fetching = null;
      });
      return this.#fetching;
    }
    try {
      await this.#fetching;
    } catch (error) {
      // The fetch of a run that was paused meanwhile says nothing about ours.
      if (!isInterruption(error)) throw error;
    }
  }

  /**
   * @param {number[]} numbers
   * @param {Run} run
   */
  async #fetchNow(numbers, run) {
    const wanted = [...new Set(numbers)].sort((a, b) => a - b);
    const answer = await this.ask({ parts: listOf(wanted), format: "compact" }, run);
    const now = this.api.env.now();
    const expiresAt = this.api.clock.steady(answer.expires_at);
    const life = Math.max(0, expiresAt - now);
    const batch = {
      head: answer.head,
      middle: answer.middle,
      tail: answer.tail,
      staleAt: now + life / 2,
      unusableAt: expiresAt - Math.min(LONGEST_MARGIN, life / 4),
    };
    // Even an address that seems to be expired is worth one try: the store is the judge.
    if (life === 0) batch.unusableAt = now + 1000;
    for (const [number, signature] of answer.signatures) this.#held.set(number, { signature, batch });
  }

  /** @param {number} limit */
  #unsigned(limit) {
    return this.slices.upcoming(limit).filter((number) => !this.#isFresh(number));
  }

  /** @param {number} number */
  #isUsable(number) {
    const held = this.#held.get(number);
    return held !== undefined && this.api.env.now() < held.batch.unusableAt;
  }

  /** @param {number} number */
  #isFresh(number) {
    const held = this.#held.get(number);
    return held !== undefined && this.api.env.now() < held.batch.staleAt;
  }
}

/**
 * A gapless run is asked for as "first-last", anything else one by one.
 * @param {number[]} numbers  ascending
 * @returns {string | number[]}
 */
function listOf(numbers) {
  const first = numbers[0];
  const last = numbers[numbers.length - 1];
  return last - first === numbers.length - 1 ? `${first}-${last}` : numbers;
}
