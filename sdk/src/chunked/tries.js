/**
 * When the chunk server is asked again: a set number of tries with pauses that grow by the same step, as applications
 * have set them up for the published SDK. The kit's own policy (`../retry.js`) counts time instead and adds chance.
 */

import { asError, ChunkedUploaderError, mayPass, throwIfStopped } from "./errors.js";

/**
 * @typedef {import("../environment.js").Environment} Environment
 *
 * @typedef {object} Tries
 * @property {number} retryAttempts  tries in all
 * @property {number} retryDelay  milliseconds; the pause after the n-th failure is n times as long
 * @property {Environment} env
 * @property {AbortSignal} signal
 * @property {(error: Error, attempt: number) => void} [onFailure]  after each failed try, from 1; not after an abort
 */

/**
 * Repeats `task` while its failure may pass and tries are left.
 *
 * @template T
 * @param {() => Promise<T>} task
 * @param {Tries} tries
 * @returns {Promise<T>}
 */
export async function tryAgain(task, tries) {
  for (let attempt = 1; ; attempt += 1) {
    throwIfStopped(tries.signal);
    try {
      return await task();
    } catch (thrown) {
      if (tries.signal.aborted) throw thrown;
      tries.onFailure?.(asError(thrown), attempt);
      if (attempt >= tries.retryAttempts || !mayPass(thrown)) throw thrown;
      const asked = thrown instanceof ChunkedUploaderError ? thrown.retryAfter : 0;
      await pause(Math.max(asked, tries.retryDelay * attempt), tries);
    }
  }
}

/**
 * Waits; an abort ends the wait at once and throws.
 * @param {number} ms
 * @param {{env: Environment, signal: AbortSignal}} surroundings
 */
export async function pause(ms, { env, signal }) {
  await env.sleep(ms, signal);
  throwIfStopped(signal);
}
