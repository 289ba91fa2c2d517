/**
 * Muleteer's own HTTP API, version 1, call by call: JSON in, JSON or a problem out. What the answers mean for an
 * upload is decided in `../native.js`; a page uses this alone to ask who it is and what is unfinished.
 */

import { surroundings } from "../../environment.js";
import { UploadError } from "../../errors.js";
import { call, isPassing, put, retryAfterOf } from "../../http.js";
import { DEFAULT_POLICY, persist } from "../../retry.js";

/**
 * @typedef {import("../../retry.js").Policy} Policy
 * @typedef {import("../../retry.js").Retry} Retry
 * @typedef {import("../../environment.js").Environment} Environment
 * @typedef {import("../../errors.js").Problem} Problem
 *
 * @typedef {object} ApiOptions
 * @property {string} [url]  where the API is; `/api/v1` of this page's host when absent
 * @property {() => string | null | undefined} [apiKey]  asked before each call; a visitor without one is known
 *   by cookie, where the server allows that
 * @property {Environment} [env]
 *
 * @typedef {object} Run  what one call may take
 * @property {Partial<Policy>} [policy]
 * @property {AbortSignal} [signal]
 * @property {(retry: Retry) => void} [onRetry]
 *
 * @typedef {object} UploadDocument  an upload as the API describes it
 * @property {string} id
 * @property {string} [support_code]
 * @property {"open" | "completing" | "complete" | "aborted" | "expired" | "failed"} state
 * @property {"direct" | "relay"} [transfer]  whether the bytes go straight to the store, or through the server
 * @property {string} filename
 * @property {number} size
 * @property {number} part_size
 * @property {number} part_count
 * @property {{number: number, size: number, etag?: string | null, is_summed?: boolean}[]} parts
 * @property {import("./claims.js").PartChecksum | null} [checksum]  how parts are sent with their checksums
 * @property {string} [token]
 * @property {string | null} [location]
 * @property {string | null} [etag]
 * @property {string} [key]
 *
 * @typedef {object} UploadSummary  an upload in a list
 * @property {string} id
 * @property {string} [support_code]
 * @property {string} state
 * @property {string} filename
 * @property {number} size
 * @property {number} part_count
 * @property {number} parts_recorded
 * @property {number} bytes_recorded
 * @property {string} created_at
 *
 * @typedef {object} SessionDocument
 * @property {string | null} owner
 * @property {"anonymous" | "api-key" | "none"} kind
 * @property {string[]} scopes
 * @property {boolean} anonymous_allowed
 * @property {{transfer?: "direct" | "relay", max_size: number, default_part_size: number, max_parts: number}} limits
 * @property {string} server_time
 */

/** A 500 is more often a mistake than a hiccup: it is not worth minutes of patience. */
const TRIES_AFTER_500 = 6;

export class NativeApi {
  /** @param {ApiOptions} [options] */
  constructor({ url = "/api/v1", apiKey = () => null, env = surroundings } = {}) {
    this.url = url.replace(/\/+$/, "");
    this.apiKey = apiKey;
    this.env = env;
    /** Whether answers show their `Date`; CORS hides it from pages of other hosts. */
    this.seesDate = false;
    /** Server time minus the steady clock, in milliseconds, where the session had to tell. */
    this.ahead = NaN;
  }

  /**
   * Who the server takes us for, and its limits.
   * @param {Run} [run]
   * @returns {Promise<SessionDocument>}
   */
  async session(run) {
    const askedAt = this.env.now();
    const session = await this.call("GET", "/session", undefined, run);
    this.ahead = Date.parse(session.server_time) - askedAt;
    return session;
  }

  /**
   * All our own uploads in one state, newest first.
   * @param {string} state
   * @param {Run} [run]
   * @returns {Promise<UploadSummary[]>}
   */
  async list(state, run) {
    const uploads = [];
    let cursor = null;
    do {
      const query = new URLSearchParams({ state, limit: "100", ...(cursor ? { cursor } : {}) });
      const page = await this.call("GET", `/uploads?${query}`, undefined, run);
      uploads.push(...page.uploads);
      cursor = page.next_cursor;
    } while (cursor);
    return uploads;
  }

  /**
   * The signed receipt of a complete upload: to be kept as it is, `muleteer verify` reads it.
   * @param {string} id
   * @param {Run & {token?: string}} [run]
   * @returns {Promise<{receipt: Record<string, unknown>, signature: Record<string, string>}>}
   */
  async receipt(id, run) {
    return this.call("GET", `/uploads/${encodeURIComponent(id)}/receipt`, undefined, run);
  }

  /**
   * Gives an upload up, whatever its state.
   * @param {string} id
   * @param {Run & {token?: string}} [run]
   */
  async discard(id, run) {
    await this.call("DELETE", `/uploads/${encodeURIComponent(id)}`, undefined, run);
  }

  /**
   * One call, repeated while the server is away or asks to wait.
   *
   * @param {string} method
   * @param {string} path  below the API's address
   * @param {unknown} [body]  sent as JSON
   * @param {Run & {token?: string}} [run]  with a token, that upload's own token speaks for us
   * @returns {Promise<any>}  null for an empty answer
   * @throws {UploadError} with the problem's last segment as its code
   */
  async call(method, path, body, run) {
    return (await this.callTimed(method, path, body, run)).body;
  }

  /**
   * The same, with the moment of the call on both clocks: what expires at some server time lives for the
   * difference, whatever the browser's own clock says.
   *
   * @param {string} method
   * @param {string} path
   * @param {unknown} [body]
   * @param {Run & {token?: string}} [run]
   * @returns {Promise<{body: any, askedAt: number, serverTime: number}>}  `askedAt` on the steady clock;
   *   `serverTime` in milliseconds since 1970, NaN where it cannot be known
   */
  async callTimed(method, path, body, run = {}) {
    const policy = { ...DEFAULT_POLICY, ...run.policy };
    const signal = run.signal ?? new AbortController().signal;
    return persist(() => this.#once(method, path, body, policy, signal, run.token), {
      env: this.env,
      policy,
      signal,
      onRetry: run.onRetry,
    });
  }

  /**
   * Puts raw bytes: one try, and progress while they leave.
   *
   * @param {string} path  below the API's address
   * @param {Blob} body
   * @param {{token?: string, headers?: Record<string, string>, stallAfter: number, signal: AbortSignal,
   *   onSent: (bytes: number) => void}} run
   * @returns {Promise<any>} the answer's JSON
   * @throws {UploadError} as {@link call}
   */
  async putBytes(path, body, { token, headers: more, stallAfter, signal, onSent }) {
    const headers = { ...this.#headers(token, false), "Content-Type": "application/octet-stream", ...more };
    const url = this.url + path;
    const answer = await put(this.env, { url, body, headers, peer: "The upload server", stallAfter, signal, onSent });
    if (answer.status < 200 || answer.status > 299) throw problemOf(answer);
    return parse(answer);
  }

  /**
   * @param {string} method
   * @param {string} path
   * @param {unknown} body
   * @param {Policy} policy
   * @param {AbortSignal} signal
   * @param {string | undefined} token
   */
  async #once(method, path, body, policy, signal, token) {
    const askedAt = this.env.now();
    const answer = await call(this.env, {
      method,
      url: this.url + path,
      headers: this.#headers(token, body !== undefined),
      body: body === undefined ? undefined : JSON.stringify(body),
      answerWithin: policy.answerWithin,
      signal,
    });
    const date = answer.header("Date");
    this.seesDate ||= date !== null;
    if (answer.status < 200 || answer.status > 299) throw problemOf(answer);
    const serverTime = date === null ? this.ahead + askedAt : Date.parse(date);
    return { body: answer.text === "" ? null : parse(answer), askedAt, serverTime };
  }

  /**
   * @param {string | undefined} token
   * @param {boolean} hasBody
   */
  #headers(token, hasBody) {
    /** @type {Record<string, string>} */
    const headers = { Accept: "application/json" };
    if (hasBody) headers["Content-Type"] = "application/json";
    const key = this.apiKey();
    if (token) headers.Authorization = `Bearer ${token}`;
    else if (key) headers["X-API-Key"] = key;
    return headers;
  }
}

/** @param {import("../../http.js").Answer} answer */
function parse(answer) {
  try {
    return JSON.parse(answer.text);
  } catch (cause) {
    const message = "The upload server's answer could not be read. Is there something in between?";
    throw new UploadError("bad-answer", message, { status: answer.status, cause, isRetryable: true, maxTries: 3 });
  }
}

/**
 * @param {import("../../http.js").Answer} answer
 * @returns {UploadError}
 */
function problemOf(answer) {
  /** @type {Problem} */
  let problem = {};
  try {
    problem = JSON.parse(answer.text) ?? {};
  } catch {
    // A proxy's own error page: the status has to do.
  }
  const fields = (problem.errors ?? []).map(({ field, detail }) => `${field}: ${detail}`).join("; ");
  const words = problem.detail || problem.title || `The upload server answered with status ${answer.status}.`;
  const code = problem.type?.split("/").at(-1) || (answer.status === 401 ? "unauthorized" : `http-${answer.status}`);
  return new UploadError(code, fields ? `${words} (${fields})` : words, {
    status: answer.status,
    isRetryable: isPassing(answer.status),
    retryAfter: retryAfterOf(answer),
    maxTries: answer.status === 500 ? TRIES_AFTER_500 : undefined,
    problem,
  });
}
