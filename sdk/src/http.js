/**
 * One request, one answer, or one clear failure. Nothing is repeated here and nobody's protocol is known here.
 *
 * A part goes through `XMLHttpRequest` where there is one, because `fetch` does not tell how much of a request
 * body has left; without progress there is no seeing that a connection has died.
 */

import { UploadError, throwIfAborted } from "./errors.js";

/** @typedef {import("./environment.js").Environment} Environment */

/**
 * @typedef {object} Answer
 * @property {number} status
 * @property {(name: string) => string | null} header  null also for what CORS hides from us
 * @property {string} text
 */

/**
 * @typedef {object} Call
 * @property {string} method
 * @property {string} url
 * @property {Record<string, string>} [headers]
 * @property {BodyInit} [body]
 * @property {number} answerWithin  milliseconds; `Infinity` waits as long as the connection stands
 * @property {AbortSignal} signal
 *
 * @typedef {object} Put
 * @property {string} url
 * @property {Blob} body
 * @property {Record<string, string>} [headers]
 * @property {string} peer  whom we talk to, for the error's words
 * @property {RequestCredentials} [credentials]  with `fetch` only: the other way sends cookies to its own host only
 * @property {number} stallAfter  milliseconds without movement
 * @property {AbortSignal} signal
 * @property {(bytes: number) => void} onSent  hears how many bytes have been handed to the network
 */

/** Slower than this, a body sent without sight of its progress counts as stalled: 16 KiB a second. */
const SLOWEST_UNSEEN = 16 * 1024 / 1000;

/** A store that has the whole body may think about it for this many times the stall limit. */
const THINKING_FACTOR = 2;

/**
 * One call through `fetch`, so without sight of how much of the body has left.
 *
 * @param {Environment} env
 * @param {Call} call
 * @returns {Promise<Answer>}
 * @throws {UploadError} `network` or `stalled`, both retryable; the signal's reason when aborted
 */
export async function call(env, { method, url, headers, body, answerWithin, signal }) {
  return withFetch(env, "The upload server", answerWithin, signal, (inner) => ({
    url,
    init: { method, headers, body, signal: inner },
  }));
}

/**
 * Puts one body.
 *
 * @param {Environment} env
 * @param {Put} request
 * @returns {Promise<Answer>}
 * @throws {UploadError} as {@link call}
 */
export async function put(env, request) {
  if (env.XMLHttpRequest) return putWithProgress(env, request);
  const { url, body, headers, peer, credentials, stallAfter, signal } = request;
  const within = stallAfter + body.size / SLOWEST_UNSEEN;
  return withFetch(env, peer, within, signal, (inner) => ({
    url,
    init: { method: "PUT", body, headers, signal: inner, credentials },
  }));
}

/**
 * @param {Environment} env
 * @param {string} peer  whom we talk to, for the error's words
 * @param {number} within  milliseconds
 * @param {AbortSignal} signal
 * @param {(signal: AbortSignal) => {url: string, init: RequestInit}} prepare
 * @returns {Promise<Answer>}
 */
async function withFetch(env, peer, within, signal, prepare) {
  throwIfAborted(signal);
  const inner = new AbortController();
  const abort = () => inner.abort();
  signal.addEventListener("abort", abort);
  let isLate = false;
  // A timer for ever would go off at once.
  const stopWatching = within === Infinity ? () => {} : env.after(within, () => {
    isLate = true;
    inner.abort();
  });
  try {
    const { url, init } = prepare(inner.signal);
    const response = await env.fetch(url, init);
    const text = await response.text();
    return { status: response.status, header: (name) => response.headers.get(name), text };
  } catch (cause) {
    throwIfAborted(signal);
    throw isLate ? stalled(peer) : unreachable(peer, cause);
  } finally {
    stopWatching();
    signal.removeEventListener("abort", abort);
  }
}

/**
 * @param {Environment} env
 * @param {Put} put
 * @returns {Promise<Answer>}
 */
function putWithProgress(env, { url, body, headers = {}, peer, stallAfter, signal, onSent }) {
  return new Promise((resolve, reject) => {
    if (signal.aborted) return reject(signal.reason);
    const Request = /** @type {new () => XMLHttpRequest} */ (env.XMLHttpRequest);
    const xhr = new Request();
    let stopWatching = () => {};
    /** @param {() => void} settle */
    const end = (settle) => {
      stopWatching();
      signal.removeEventListener("abort", onAbort);
      settle();
    };
    const onAbort = () => {
      xhr.abort();
      end(() => reject(signal.reason));
    };
    /** @param {number} limit */
    const watch = (limit) => {
      stopWatching();
      stopWatching = env.after(limit, () => {
        end(() => reject(stalled(peer)));
        xhr.abort();
      });
    };
    xhr.upload.onprogress = (event) => {
      onSent(Math.min(event.loaded, body.size));
      watch(event.loaded >= body.size ? stallAfter * THINKING_FACTOR : stallAfter);
    };
    xhr.upload.onload = () => watch(stallAfter * THINKING_FACTOR);
    xhr.onload = () => end(() => resolve(answerOf(xhr)));
    xhr.onerror = () => end(() => reject(unreachable(peer)));
    signal.addEventListener("abort", onAbort);
    xhr.open("PUT", url);
    for (const [name, value] of Object.entries(headers)) xhr.setRequestHeader(name, value);
    watch(stallAfter);
    xhr.send(body);
  });
}

/**
 * Headers come from the whole list: asking for a single one that CORS hides fills the console with errors.
 * @param {XMLHttpRequest} xhr
 * @returns {Answer}
 */
function answerOf(xhr) {
  const lines = xhr.getAllResponseHeaders().trim().split(/[\r\n]+/);
  const headers = new Map(lines.map((line) => {
    const colon = line.indexOf(":");
    return [line.slice(0, colon).toLowerCase(), line.slice(colon + 1).trim()];
  }));
  return { status: xhr.status, header: (name) => headers.get(name.toLowerCase()) ?? null, text: xhr.responseText };
}

/**
 * @param {string} peer
 * @param {unknown} [cause]
 */
function unreachable(peer, cause) {
  return new UploadError("network", `${peer} cannot be reached.`, { isRetryable: true, cause });
}

/** @param {string} peer */
function stalled(peer) {
  return new UploadError("stalled", `${peer} stopped answering.`, { isRetryable: true });
}

/**
 * What `Retry-After` asks for, in milliseconds; its date form is read against the answer's own `Date`.
 * @param {Answer} answer
 */
export function retryAfterOf(answer) {
  const value = answer.header("Retry-After");
  if (!value) return 0;
  if (/^\d+$/.test(value)) return Number(value) * 1000;
  const until = Date.parse(value) - Date.parse(answer.header("Date") ?? "");
  return Number.isFinite(until) ? Math.max(0, until) : 0;
}

/**
 * Statuses that say "later", whoever sent them.
 * @param {number} status
 */
export function isPassing(status) {
  return status === 408 || status === 425 || status === 429 || status >= 500;
}
