/**
 * Has checksums made in a worker, or here where there is none: Node, a page whose policy allows no worker, a kit that
 * comes from another site than its page.
 */

import { sumsOf } from "./sums.js";

/**
 * @typedef {import("../environment.js").Environment} Environment
 * @typedef {import("./sums.js").Sums} Sums
 *
 * @typedef {object} Job
 * @property {Blob} blob
 * @property {string[]} algorithms
 * @property {(sums: Sums | Promise<Sums>) => void} resolve
 * @property {(error: unknown) => void} reject
 */

export class Summer {
  /** @type {Worker | null} */
  #worker = null;
  #canWork = true;
  /** @type {Map<number, Job>} */
  #jobs = new Map();
  #lastId = 0;

  /** @param {Pick<Environment, "Worker">} env */
  constructor(env) {
    this.env = env;
  }

  /** Whether sums are made off this thread. */
  get isApart() {
    return this.#worker !== null;
  }

  /**
   * @param {Blob} blob
   * @param {string[]} algorithms
   * @returns {Promise<Sums>} rejects where the blob cannot be read
   */
  sums(blob, algorithms) {
    const worker = this.#start();
    if (!worker) return sumsOf(blob, algorithms);
    const id = (this.#lastId += 1);
    return new Promise((resolve, reject) => {
      this.#jobs.set(id, { blob, algorithms, resolve, reject });
      worker.postMessage({ id, blob, algorithms });
    });
  }

  #start() {
    if (this.#worker || !this.#canWork || !this.env.Worker) return this.#worker;
    try {
      this.#worker = new this.env.Worker(new URL("./worker.js", import.meta.url), { type: "module" });
    } catch {
      // Of another site than the page.
      this.#canWork = false;
      return null;
    }
    this.#worker.onmessage = ({ data }) => this.#answered(data);
    this.#worker.onerror = () => this.#fail();
    this.#worker.onmessageerror = () => this.#fail();
    return this.#worker;
  }

  /** @param {{id: number, sums?: Sums, error?: string}} answer */
  #answered({ id, sums, error }) {
    const job = this.#jobs.get(id);
    this.#jobs.delete(id);
    if (sums) job?.resolve(sums);
    else job?.reject(new Error(error));
  }

  /** The worker could not be loaded, or died: what it was asked for is done here. */
  #fail() {
    this.#canWork = false;
    this.#worker?.terminate();
    this.#worker = null;
    for (const { blob, algorithms, resolve } of this.#jobs.values()) resolve(sumsOf(blob, algorithms));
    this.#jobs.clear();
  }
}
