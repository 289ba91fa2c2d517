/**
 * When to try again and when to give up: one policy for calls to our server and for parts sent to the store,
 * so that neither is ever hammered and neither is forgotten.
 */

import { UploadError, throwIfAborted } from "./errors.js";

/** @typedef {import("./environment.js").Environment} Environment */

/**
 * @typedef {object} Policy  all times in milliseconds
 * @property {number} firstPause   upper bound of the first pause; each next bound is twice as long
 * @property {number} longestPause upper bound of every pause
 * @property {number} patience     how long one request may go on failing while we are online
 * @property {number} stallAfter   a request body that does not move for so long is sent again
 * @property {number} answerWithin how long our server may take to answer a call
 * @property {number} relayAfter   not a time: after so many failures to reach the store, in a row and each with a new
 *   signature, parts go through our server; a stall counts as two, and the first failure is never enough
 * @property {number} firstProbe   while they do, the first part that tries the straight way again goes after this
 *   pause; each next pause is twice as long
 * @property {number} longestProbePause upper bound of these pauses
 * @property {number} probeStallAfter   such a part takes the other way when it does not move for so long
 */

/** @type {Policy} */
export const DEFAULT_POLICY = {
  firstPause: 500,
  longestPause: 15_000,
  patience: 15 * 60_000,
  stallAfter: 15_000,
  answerWithin: 60_000,
  relayAfter: 3,
  firstProbe: 15_000,
  longestProbePause: 120_000,
  probeStallAfter: 5_000,
};

/** All of a file is there, and is joined or looked at: nothing fails, and it takes as long as it takes. */
const LOOKED_AT = "still-completing";

/** The `onLine` flag is wrong behind some virtual networks: so often we try all the same. */
const OFFLINE_PROBE = 30_000;

/**
 * @typedef {object} Retry  told before each pause
 * @property {UploadError} error
 * @property {number} pause   milliseconds until the next try
 * @property {number} attempt how many tries have failed so far
 */

/**
 * The length of the pause after `failures` failures: anything between nothing and a growing bound ("full
 * jitter"), so that many browsers cut off at once do not come back at once. What the server asked for in
 * `Retry-After` comes on top.
 *
 * @param {number} failures  at least 1
 * @param {number} retryAfter  milliseconds
 * @param {Policy} policy
 * @param {() => number} random
 */
export function pauseAfter(failures, retryAfter, policy, random) {
  const bound = Math.min(policy.longestPause, policy.firstPause * 2 ** Math.min(failures - 1, 30));
  return retryAfter + random() * bound;
}

/**
 * Repeats `task` until it succeeds, fails for good, or has failed for longer than the policy's patience.
 * Time spent offline does not count, nor does any while the server is at a file that it has all of.
 *
 * @template T
 * @param {() => Promise<T>} task
 * @param {{env: Environment, policy: Policy, signal: AbortSignal, onRetry?: (retry: Retry) => void}} run
 * @returns {Promise<T>}
 */
export async function persist(task, { env, policy, signal, onRetry }) {
  let failures = 0;
  /** @type {number | null} */
  let failingSince = null;
  for (;;) {
    if (await waitWhileOffline(env, signal)) failingSince = null;
    throwIfAborted(signal);
    try {
      return await task();
    } catch (thrown) {
      throwIfAborted(signal);
      if (!(thrown instanceof UploadError) || !thrown.isRetryable) throw thrown;
      failures += 1;
      failingSince = thrown.code === LOOKED_AT ? null : failingSince ?? env.now();
      const isTooLong = failingSince !== null && env.now() - failingSince > policy.patience;
      if (failures >= thrown.maxTries || isTooLong) throw givenUp(thrown);
      const pause = thrown.atOnce ? 0 : pauseAfter(failures, thrown.retryAfter, policy, env.random);
      onRetry?.({ error: thrown, pause, attempt: failures });
      if (pause > 0) await pauseUnlessBackOnline(env, pause, signal);
    }
  }
}

/**
 * A call inside a repeated task has its own patience: once that is used up, the task must not begin anew.
 * @param {UploadError} error
 */
function givenUp(error) {
  error.isRetryable = false;
  error.gaveUp = true;
  return error;
}

/**
 * @param {Environment} env
 * @param {AbortSignal} signal
 * @returns {Promise<boolean>} whether we had to wait
 */
async function waitWhileOffline(env, signal) {
  if (env.isOnline()) return false;
  await pauseUnlessBackOnline(env, OFFLINE_PROBE, signal);
  return true;
}

/**
 * A pause that ends early when the network comes back; throws when the signal is aborted.
 * @param {Environment} env
 * @param {number} ms
 * @param {AbortSignal} signal
 */
async function pauseUnlessBackOnline(env, ms, signal) {
  throwIfAborted(signal);
  const early = new AbortController();
  const wake = () => early.abort();
  const unsubscribe = env.onConnectivity((online) => online && wake());
  signal.addEventListener("abort", wake);
  await env.sleep(ms, early.signal);
  unsubscribe();
  signal.removeEventListener("abort", wake);
  throwIfAborted(signal);
}
