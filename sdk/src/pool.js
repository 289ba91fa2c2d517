/**
 * One cap over everything that is under way, shared by several uploads. Each request of an upload takes a slot;
 * earlier uploads go first, so that files finish one after another instead of all at the end.
 */

import { throwIfAborted } from "./errors.js";

export const MOST_WORKERS = 16;

/** @typedef {{rank: number, grant: () => void}} Waiter */

export class Pool {
  #limit;
  #taken = 0;
  #lastRank = 0;
  /** @type {Waiter[]} by rank, then by time of asking */
  #waiting = [];

  /** @param {number} [limit] 1 to 16 */
  constructor(limit = 4) {
    this.#limit = clampWorkers(limit);
  }

  get limit() {
    return this.#limit;
  }

  /** Fewer than before: what is under way is finished first. */
  set limit(limit) {
    this.#limit = clampWorkers(limit);
    this.#serve();
  }

  /** How many slots are in use. */
  get taken() {
    return this.#taken;
  }

  /** The place in line of a new upload. */
  nextRank() {
    this.#lastRank += 1;
    return this.#lastRank;
  }

  /**
   * Runs `task` in a slot.
   *
   * @template T
   * @param {number} rank  of the upload: lower goes first
   * @param {AbortSignal} signal  gives up the place in line
   * @param {() => Promise<T>} task
   * @returns {Promise<T>}
   */
  async use(rank, signal, task) {
    await this.#acquire(rank, signal);
    try {
      return await task();
    } finally {
      this.#taken -= 1;
      this.#serve();
    }
  }

  /**
   * @param {number} rank
   * @param {AbortSignal} signal
   * @returns {Promise<void>}
   */
  async #acquire(rank, signal) {
    throwIfAborted(signal);
    await new Promise((resolve, reject) => {
      const leave = () => {
        this.#waiting = this.#waiting.filter((other) => other !== waiter);
        reject(signal.reason);
      };
      /** @type {Waiter} */
      const waiter = {
        rank,
        grant: () => {
          signal.removeEventListener("abort", leave);
          this.#taken += 1;
          resolve(undefined);
        },
      };
      signal.addEventListener("abort", leave);
      const place = this.#waiting.findIndex((other) => other.rank > rank);
      this.#waiting.splice(place < 0 ? this.#waiting.length : place, 0, waiter);
      this.#serve();
    });
  }

  #serve() {
    while (this.#taken < this.#limit) {
      const first = this.#waiting.shift();
      if (!first) return;
      first.grant();
    }
  }
}

/**
 * @param {number} workers
 * @returns {number} a whole number from 1 to 16
 */
export function clampWorkers(workers) {
  return Math.min(MOST_WORKERS, Math.max(1, Math.floor(workers) || 1));
}
