/**
 * The chunk server's HTTP API, call by call: one request, one answer or one {@link ChunkedUploaderError}. Nothing is
 * repeated here; what an answer means for an upload is decided in `uploader.js`.
 */

import { UploadError } from "../errors.js";
import { call, retryAfterOf } from "../http.js";
import { ChunkedUploaderError } from "./errors.js";

/**
 * @typedef {import("../environment.js").Environment} Environment
 * @typedef {import("../http.js").Answer} Answer
 * @typedef {import("./types.js").CancelUploadResponse} CancelUploadResponse
 * @typedef {import("./types.js").CompleteUploadResponse} CompleteUploadResponse
 * @typedef {import("./types.js").HealthCheckResponse} HealthCheckResponse
 * @typedef {import("./types.js").InitUploadRequest} InitUploadRequest
 * @typedef {import("./types.js").InitUploadResponse} InitUploadResponse
 * @typedef {import("./types.js").UploadPartResponse} UploadPartResponse
 * @typedef {import("./types.js").UploadStatusResponse} UploadStatusResponse
 *
 * @typedef {object} Finishing  the answer to one `complete`: the file, or how long to wait before asking again
 * @property {CompleteUploadResponse} [file]
 * @property {number} retryAfter  milliseconds
 */

/** The server's endpoints for one address and one key. */
export class ChunkedApi {
  /** @param {{baseUrl: string, apiKey: string, timeout: number, env: Environment}} options */
  constructor({ baseUrl, apiKey, timeout, env }) {
    this.baseUrl = baseUrl.replace(/\/+$/, "");
    this.apiKey = apiKey;
    this.timeout = timeout;
    this.env = env;
  }

  /**
   * @param {InitUploadRequest} wanted
   * @param {AbortSignal} [signal]
   * @returns {Promise<InitUploadResponse>}
   */
  async init(wanted, signal) {
    return read(await this.#manage("POST", "/upload/init", signal, wanted));
  }

  /**
   * One part, one try, without a time limit: how long it takes is the line's business.
   * @param {string} id
   * @param {number} part  from 0
   * @param {string} token
   * @param {BodyInit} body
   * @param {AbortSignal} [signal]
   * @returns {Promise<UploadPartResponse>}
   */
  async part(id, part, token, body, signal) {
    const headers = { Authorization: `Bearer ${token}`, "Content-Type": "application/octet-stream" };
    return read(await this.#ask("PUT", `${addressOf(id)}/part/${part}`, { headers, body, within: Infinity, signal }));
  }

  /**
   * @param {string} id
   * @param {AbortSignal} [signal]
   * @returns {Promise<UploadStatusResponse>}
   */
  async status(id, signal) {
    return read(await this.#manage("GET", `${addressOf(id)}/status`, signal));
  }

  /**
   * A server that is still putting the file together says so with 503 and the code `finalizing`, or with 202 and no
   * path; neither is a failure and neither is the end.
   * @param {string} id
   * @param {AbortSignal} [signal]
   * @returns {Promise<Finishing>}
   */
  async complete(id, signal) {
    const answer = await this.#manage("POST", `${addressOf(id)}/complete`, signal);
    try {
      const file = read(answer);
      if (answer.status === 202 && !file.final_path) return { retryAfter: retryAfterOf(answer) };
      return { file, retryAfter: 0 };
    } catch (thrown) {
      if (!isFinalizing(thrown)) throw thrown;
      return { retryAfter: thrown.retryAfter };
    }
  }

  /**
   * @param {string} id
   * @param {AbortSignal} [signal]
   * @returns {Promise<CancelUploadResponse>}
   */
  async cancel(id, signal) {
    return read(await this.#manage("DELETE", addressOf(id), signal));
  }

  /**
   * @param {AbortSignal} [signal]
   * @returns {Promise<HealthCheckResponse>}
   */
  async health(signal) {
    return read(await this.#ask("GET", "/health", { headers: {}, within: this.timeout, signal }));
  }

  /**
   * @param {string} method
   * @param {string} path
   * @param {AbortSignal} [signal]
   * @param {unknown} [json]
   */
  async #manage(method, path, signal, json) {
    /** @type {Record<string, string>} */
    const headers = { "X-API-Key": this.apiKey };
    if (json !== undefined) headers["Content-Type"] = "application/json";
    const body = json === undefined ? undefined : JSON.stringify(json);
    return this.#ask(method, path, { headers, body, within: this.timeout, signal });
  }

  /**
   * @param {string} method
   * @param {string} path
   * @param {{headers: Record<string, string>, body?: BodyInit, within: number, signal?: AbortSignal}} request
   * @returns {Promise<Answer>}
   */
  async #ask(method, path, { headers, body, within, signal = new AbortController().signal }) {
    try {
      const url = this.baseUrl + path;
      return await call(this.env, { method, url, headers, body, answerWithin: within, signal });
    } catch (thrown) {
      if (signal.aborted || !(thrown instanceof UploadError)) throw thrown;
      throw unanswered(thrown, within);
    }
  }
}

/** @param {string} id */
function addressOf(id) {
  return `/upload/${encodeURIComponent(id)}`;
}

/**
 * @param {Answer} answer
 * @returns {any}
 */
function read(answer) {
  const isGood = answer.status >= 200 && answer.status < 300;
  try {
    const body = JSON.parse(answer.text);
    if (isGood) return body;
    throw refused(answer, body ?? {});
  } catch (thrown) {
    if (thrown instanceof ChunkedUploaderError) throw thrown;
    // A proxy's own error page: the status has to do.
    if (!isGood) throw refused(answer, {});
    const message = "The upload server's answer could not be read. Is there something in between?";
    throw new ChunkedUploaderError(message, answer.status, "bad-answer", undefined, { cause: thrown });
  }
}

/**
 * @param {Answer} answer
 * @param {Partial<import("./types.js").ApiErrorResponse>} words
 */
function refused(answer, { error, code, details }) {
  const message = error || `The upload server answered with status ${answer.status}.`;
  return new ChunkedUploaderError(message, answer.status, code, details, { retryAfter: retryAfterOf(answer) });
}

/**
 * @param {UploadError} thrown
 * @param {number} within
 */
function unanswered(thrown, within) {
  const isLate = thrown.code === "stalled";
  const message = isLate ? `The upload server did not answer within ${within} ms.` : thrown.message;
  return new ChunkedUploaderError(message, undefined, isLate ? "timeout" : "network", undefined, {
    cause: thrown.cause ?? thrown,
  });
}

/**
 * @param {unknown} thrown
 * @returns {thrown is ChunkedUploaderError}
 */
function isFinalizing(thrown) {
  return thrown instanceof ChunkedUploaderError && thrown.statusCode === 503 && thrown.code === "finalizing";
}
