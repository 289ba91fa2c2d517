/**
 * Signed part addresses, fetched ahead of the workers so that none of them waits, and replaced before they
 * expire. Nothing here sends a part.
 */

import { isInterruption, throwIfAborted, UploadError } from "../../errors.js";
import { DONE } from "../../slices.js";

/**
 * @typedef {import("../../retry.js").Policy} Policy
 * @typedef {import("../../slices.js").Slices} Slices
 * @typedef {import("../../environment.js").Environment} Environment
 *
 * @typedef {object} Batch  what one answer's addresses have in common
 * @property {string} head
 * @property {string} middle
 * @property {string} tail
 * @property {number} askedAt    steady clock
 * @property {number} staleAt    steady clock: from here on a replacement is fetched in the background
 * @property {number} unusableAt steady clock: from here on a worker rather waits for the replacement
 *
 * @typedef {{policy: Policy, signal: AbortSignal, onRetry?: (retry: import("../../retry.js").Retry) => void}} Run
 *
 * @typedef {import("./claims.js").Claims} Claims
 *
 * @typedef {object} Asked  what addresses are asked for
 * @property {string | number[]} parts
 * @property {"compact"} format
 * @property {Record<number, string>} [checksums]  what they are signed with
 * @property {string} [refused]                    why the store took an earlier one no more
 *
 * @typedef {(body: Asked, run: Run)
 *   => Promise<{body: any, askedAt: number, serverTime: number}>} AskForSignatures
 */

/** How many parts ahead are signed in one call; some 20 kB in the compact format. */
const WINDOW = 256;
/** Fetch more when fewer of the next parts than this have an address: four rounds of sixteen workers. */
const LOW_WATER = 64;
/** An address is not used in its last seconds: the request may sit in the browser's queue for a while. */
const LONGEST_MARGIN = 60_000;
/** Assumed where the server's time cannot be known at all. */
const LIFE_WHEN_UNKNOWN = 5 * 60_000;
const WORTH_A_TRY = 1000;

export class Signatures {
  /** @type {Map<number, {signature: string, batch: Batch, checksum?: string}>} */
  #held = new Map();
  /** Parts whose last try got no answer: a refusal without CORS headers looks just like that. */
  #doubtful = new Set();
  /** @type {Promise<void> | null} */
  #fetching = null;
  /**
   * The store's code for an address whose credentials it takes no more: our server is told, as it may not know yet.
   * @type {string | undefined}
   */
  #refusedWith;

  /**
   * @param {Environment} env
   * @param {AskForSignatures} ask
   * @param {Slices} slices  says which parts come next
   * @param {Claims} claims  says which checksums they are signed with
   */
  constructor(env, ask, slices, claims) {
    this.env = env;
    this.ask = ask;
    this.slices = slices;
    this.claims = claims;
  }

  /**
   * The address to put this part to, when it was asked for, on the steady clock, and the checksum that it was signed
   * with, if any.
   * @param {number} number
   * @param {Run} run
   * @returns {Promise<{url: string, askedAt: number, checksum?: string}>}
   */
  async take(number, run) {
    if (this.#doubtful.has(number)) await this.#tryToReplace(number, run);
    while (!this.#isUsable(number)) {
      await this.#fetch([number, ...this.#unsigned(WINDOW)], run);
      throwIfAborted(run.signal);
    }
    this.#lookAhead(run);
    const held = /** @type {{signature: string, batch: Batch, checksum?: string}} */ (this.#held.get(number));
    const { signature, batch, checksum } = held;
    return { url: `${batch.head}${number}${batch.middle}${signature}${batch.tail}`, askedAt: batch.askedAt, checksum };
  }

  /**
   * The store refused this address: it and all that came with it are dropped.
   * @param {number} number
   * @param {string} [keyCode]  the store's code where that blames our server's credentials
   */
  refuse(number, keyCode) {
    this.#refusedWith ??= keyCode;
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
   * This part is stored.
   * @param {number} number
   */
  spend(number) {
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
    if (this.claims.isSigned) this.claims.ahead(this.slices.outstanding(LOW_WATER));
    const next = this.#signable(this.slices.outstanding(LOW_WATER));
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
    const { wanted, checksums } = await this.#wanted([...new Set(numbers)].sort((a, b) => a - b), numbers[0]);
    throwIfAborted(run.signal);
    const refused = this.#refusedWith;
    const { body: answer, askedAt, serverTime } = await this.ask(
      { parts: listOf(wanted), format: "compact", ...(checksums && { checksums }), ...(refused && { refused }) }, run);
    this.#refusedWith = undefined;
    const life = Date.parse(answer.expires_at) - serverTime || LIFE_WHEN_UNKNOWN;
    const batch = {
      head: answer.head,
      middle: answer.middle,
      tail: answer.tail,
      askedAt,
      staleAt: askedAt + life / 2,
      unusableAt: askedAt + life - Math.min(LONGEST_MARGIN, life / 4),
    };
    // An address that came so late that it is as good as expired is worth a try all the same: the store is the
    // judge, and asking again would bring the next late one.
    const now = this.env.now();
    if (batch.unusableAt <= now) batch.unusableAt = now + WORTH_A_TRY;
    for (const number of this.#held.keys()) if (this.slices.states[number - 1] === DONE) this.#held.delete(number);
    for (const [number, signature] of answer.signatures) {
      this.#held.set(number, { signature, batch, checksum: checksums?.[number] });
    }
  }

  /**
   * What to ask for at once: where parts are signed with their checksums, those whose checksums are known, the first one's
   * above all.
   * @param {number[]} numbers  ascending
   * @param {number} first
   * @returns {Promise<{wanted: number[], checksums?: Record<number, string>}>}
   */
  async #wanted(numbers, first) {
    if (!this.claims.isSigned) return { wanted: numbers };
    // One that has none is signed without, by itself: an answer's addresses are all of one kind.
    if (await this.claims.of(first) === null) return { wanted: [first] };
    /** @type {Record<number, string>} */
    const checksums = {};
    for (const number of numbers) {
      const value = this.claims.value(number);
      if (value) checksums[number] = value;
    }
    return { wanted: numbers.filter((number) => number in checksums), checksums };
  }

  /**
   * Those of these parts that can be signed without waiting for a checksum.
   * @param {number[]} numbers
   */
  #signable(numbers) {
    return this.claims.isSigned ? numbers.filter((number) => this.claims.value(number)) : numbers;
  }

  /** @param {number} limit */
  #unsigned(limit) {
    return this.#signable(this.slices.outstanding(limit)).filter((number) => !this.#isFresh(number));
  }

  /** @param {number} number */
  #isUsable(number) {
    const held = this.#held.get(number);
    return held !== undefined && this.#suits(number, held.checksum) && this.env.now() < held.batch.unusableAt;
  }

  /**
   * Whether an address may be used that was signed with this checksum, or without one.
   * @param {number} number
   * @param {string | undefined} checksum
   */
  #suits(number, checksum) {
    if (!this.claims.isSigned) return checksum === undefined;
    return checksum !== undefined || this.claims.value(number) === null;
  }

  /** @param {number} number */
  #isFresh(number) {
    const held = this.#held.get(number);
    return held !== undefined && this.#suits(number, held.checksum) && this.env.now() < held.batch.staleAt;
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
