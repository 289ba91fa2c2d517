/**
 * Tells our server which parts the store has taken, behind the workers' backs: one call at a time, and whatever
 * was stored meanwhile goes with the next. A worker never waits for it; only finishing does.
 */

import { isInterruption, throwIfAborted, UploadError } from "../../errors.js";

/**
 * @typedef {import("../../slices.js").StoredPart} StoredPart
 * @typedef {import("./signatures.js").Run} Run
 * @typedef {(parts: StoredPart[], run: Run) => Promise<void>} Report
 */

const MOST_AT_ONCE = 1000;

export class Records {
  /** @type {StoredPart[]} */
  #unreported = [];
  /** @type {Promise<void> | null} */
  #reporting = null;

  /** @param {Report} report  one call, repeated while the server is away */
  constructor(report) {
    this.report = report;
  }

  /**
   * @param {StoredPart} part
   * @param {Run} run
   */
  add(part, run) {
    this.#unreported.push(part);
    // What could not be told stays in line for the next call, at the latest for `flush`.
    this.#drain(run).catch(() => {});
  }

  /**
   * Waits until everything has been told. A server that refuses a record does not stop the upload: when it
   * joins the parts it asks the store and not its records.
   * @param {Run} run
   */
  async flush(run) {
    while (this.#unreported.length > 0) {
      try {
        await this.#drain(run);
      } catch (error) {
        throwIfAborted(run.signal);
        // The drain of a run that was paused meanwhile is no failure: this run drains what that one left.
        if (!isInterruption(error)) throw error;
      }
    }
  }

  /** @param {Run} run */
  #drain(run) {
    this.#reporting ??= this.#reportAll(run).finally(() => {
      this.#reporting = null;
    });
    return this.#reporting;
  }

  /** @param {Run} run */
  async #reportAll(run) {
    while (this.#unreported.length > 0) {
      const parts = this.#unreported.slice(0, MOST_AT_ONCE);
      try {
        await this.report(parts, run);
      } catch (error) {
        const isRefusal = error instanceof UploadError && error.status !== undefined && !error.gaveUp;
        if (!isRefusal) throw error;
      }
      this.#unreported.splice(0, parts.length);
    }
  }
}
