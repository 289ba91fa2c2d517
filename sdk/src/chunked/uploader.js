/**
 * The chunk server's SDK: the class that applications of its published SDK already know, with the same methods,
 * options and defaults. Separate from `../uploader.js`, because an application holds the API key and the upload's id
 * here, where the kit's `Upload` remembers and decides by itself.
 */

import { surroundings } from "../environment.js";
import { ChunkedApi } from "./api.js";
import { asError, ChunkedUploaderError, throwIfStopped } from "./errors.js";
import { notify, sendParts } from "./parts.js";
import { bodyOf, sourceOf } from "./source.js";
import { Tokens, tokensIn } from "./tokens.js";
import { pause, tryAgain } from "./tries.js";

/**
 * @typedef {import("../environment.js").Environment} Environment
 * @typedef {import("./parts.js").Transfer} Transfer
 * @typedef {import("./source.js").Source} Source
 * @typedef {import("./tries.js").Tries} Tries
 * @typedef {import("./types.js").CancelUploadResponse} CancelUploadResponse
 * @typedef {import("./types.js").ChunkedUploaderConfig} ChunkedUploaderConfig
 * @typedef {import("./types.js").CompleteUploadResponse} CompleteUploadResponse
 * @typedef {import("./types.js").FileSource} FileSource
 * @typedef {import("./types.js").HealthCheckResponse} HealthCheckResponse
 * @typedef {import("./types.js").InitUploadResponse} InitUploadResponse
 * @typedef {import("./types.js").ResumeOptions} ResumeOptions
 * @typedef {import("./types.js").TransferOptions} TransferOptions
 * @typedef {import("./types.js").UploadOptions} UploadOptions
 * @typedef {import("./types.js").UploadPartResponse} UploadPartResponse
 * @typedef {import("./types.js").UploadResult} UploadResult
 * @typedef {import("./types.js").UploadStatusResponse} UploadStatusResponse
 *
 * @typedef {Pick<UploadResult, "fileId" | "filename" | "totalSize">} Subject  what every result tells
 */

/** What the published SDK does when it is not told otherwise. */
const DEFAULTS = { timeout: 30_000, concurrency: 3, retryAttempts: 3, retryDelay: 1000 };

/** Uploads files in parts, each under a token of its own. One instance serves any number of files. */
export class ChunkedUploader {
  #api;
  #settings;
  #env;

  /**
   * @param {ChunkedUploaderConfig} config
   * @param {Environment} [env]  clock and pauses; for tests
   * @throws {ChunkedUploaderError} `invalid-options` without an address or a key
   */
  constructor(config, env = surroundings) {
    const { baseUrl, apiKey, fetch } = config ?? {};
    if (!baseUrl) throw missingOption("baseUrl", "the address of the upload server");
    if (!apiKey) throw missingOption("apiKey", "a key that the upload server knows");
    this.#settings = {
      timeout: config.timeout ?? DEFAULTS.timeout,
      concurrency: config.concurrency ?? DEFAULTS.concurrency,
      retryAttempts: config.retryAttempts ?? DEFAULTS.retryAttempts,
      retryDelay: config.retryDelay ?? DEFAULTS.retryDelay,
    };
    /** @type {typeof globalThis.fetch} */
    const called = (input, init) => (fetch ?? env.fetch)(input, init);
    this.#env = { ...env, fetch: called };
    this.#api = new ChunkedApi({ baseUrl, apiKey, timeout: this.#settings.timeout, env: this.#env });
  }

  /**
   * Begins an upload, sends all its parts and has them put together.
   *
   * @param {FileSource} file
   * @param {UploadOptions} [options]
   * @returns {Promise<UploadResult>} `success: false` with the `error` when anything fails after the upload was begun;
   *   it stays on the server and can be resumed by its `fileId`
   * @throws {ChunkedUploaderError} when the upload cannot be begun
   */
  async uploadFile(file, options = {}) {
    const source = sourceOf(file);
    const signal = signalOf(options);
    throwIfStopped(signal);
    const init = await this.initUpload(source.name, source.size, options.webhookUrl, signal);
    notify(options.onInit, init);
    const { file_id: id, chunk_size: chunkSize, total_parts: totalParts } = init;
    const missing = init.parts.map(({ part }) => part);
    return this.#settle({ fileId: id, filename: source.name, totalSize: source.size }, async () => {
      const tokens = this.#tokens(id, tokensIn(init.parts), signal);
      await sendParts(this.#transfer({ id, source, chunkSize, totalParts, missing, tokens }, options));
      return this.completeUpload(id, signal);
    });
  }

  /**
   * Goes on with an upload: sends the parts that the server does not have, cut as the server says, and has them put
   * together. Needs nothing but the id from servers that hand tokens out again, as ours does.
   *
   * @param {string} uploadId
   * @param {FileSource} file  the same bytes as before; only their number is checked here
   * @param {ResumeOptions} [options]
   * @returns {Promise<UploadResult>} as {@link uploadFile}
   * @throws {ChunkedUploaderError} when there is nothing to go on with: the upload is unknown, `size-mismatch`,
   *   `tokens-missing` or `parts-unknown`
   */
  async resumeUpload(uploadId, file, options = {}) {
    const source = sourceOf(file);
    const signal = signalOf(options);
    throwIfStopped(signal);
    const status = await this.getStatus(uploadId, signal);
    assertSameSize(source, status);
    const subject = { fileId: uploadId, filename: status.filename, totalSize: status.total_size };
    if (status.status === "complete") return succeeded(subject, status);

    const missing = pendingIn(status);
    const known = new Map([...tokensIn(status.parts), ...(options.partTokens ?? [])]);
    assertTokens(missing, known);
    const chunkSize = status.chunk_size || Math.ceil(status.total_size / status.total_parts);
    const tokens = this.#tokens(uploadId, known, signal);
    const plan = { id: uploadId, source, chunkSize, totalParts: status.total_parts, missing, tokens };
    return this.#settle(subject, async () => {
      await sendParts(this.#transfer(plan, options));
      return this.completeUpload(uploadId, signal);
    });
  }

  /**
   * Begins an upload and sends nothing. A folder in the name is kept: `videos/2024/x.mp4`.
   *
   * @param {string} filename
   * @param {number} totalSize  bytes
   * @param {string} [webhookUrl]
   * @param {AbortSignal} [signal]
   * @returns {Promise<InitUploadResponse>}
   */
  async initUpload(filename, totalSize, webhookUrl, signal) {
    const webhook = webhookUrl ? { webhook_url: webhookUrl } : {};
    return this.#api.init({ filename, total_size: totalSize, ...webhook }, signal);
  }

  /**
   * Sends one part, one try, without a time limit.
   *
   * @param {string} uploadId
   * @param {number} partNumber  from 0
   * @param {string} token
   * @param {FileSource} data  exactly this part's bytes
   * @param {AbortSignal} [signal]
   * @returns {Promise<UploadPartResponse>}
   */
  async uploadPart(uploadId, partNumber, token, data, signal) {
    return this.#api.part(uploadId, partNumber, token, bodyOf(data), signal);
  }

  /**
   * @param {string} uploadId
   * @param {AbortSignal} [signal]
   * @returns {Promise<UploadStatusResponse>}
   */
  async getStatus(uploadId, signal) {
    return this.#api.status(uploadId, signal);
  }

  /**
   * Has the parts put together. While the server is at it, it is asked again, until it is done or the signal says
   * stop; asking twice does no harm, so a lost answer is asked for again as well.
   *
   * @param {string} uploadId
   * @param {AbortSignal} [signal]
   * @returns {Promise<CompleteUploadResponse>}
   */
  async completeUpload(uploadId, signal) {
    const tries = this.#tries(signal ?? signalOf({}));
    for (;;) {
      const { file, retryAfter } = await tryAgain(() => this.#api.complete(uploadId, signal), tries);
      if (file) return file;
      await pause(Math.max(retryAfter, this.#settings.retryDelay), tries);
    }
  }

  /**
   * Gives an upload up: afterwards the server does not know it any more.
   *
   * @param {string} uploadId
   * @param {AbortSignal} [signal]
   * @returns {Promise<CancelUploadResponse>}
   */
  async cancelUpload(uploadId, signal) {
    return this.#api.cancel(uploadId, signal);
  }

  /**
   * @param {AbortSignal} [signal]
   * @returns {Promise<HealthCheckResponse>}
   * @throws {ChunkedUploaderError} also where the server answers that it is not well
   */
  async healthCheck(signal) {
    return this.#api.health(signal);
  }

  /**
   * @param {Subject} subject
   * @param {() => Promise<CompleteUploadResponse>} work
   * @returns {Promise<UploadResult>}
   */
  async #settle(subject, work) {
    try {
      return succeeded(subject, await work());
    } catch (thrown) {
      return { ...subject, success: false, error: asError(thrown) };
    }
  }

  /**
   * @param {string} id
   * @param {Map<number, string>} known
   * @param {AbortSignal} signal
   */
  #tokens(id, known, signal) {
    const ask = () => tryAgain(() => this.getStatus(id, signal), this.#tries(signal));
    return new Tokens(known, async () => tokensIn((await ask()).parts ?? []));
  }

  /**
   * @param {Pick<Transfer, "id" | "source" | "chunkSize" | "totalParts" | "missing" | "tokens">} plan
   * @param {TransferOptions} options
   * @returns {Transfer}
   */
  #transfer(plan, options) {
    const concurrency = options.concurrency ?? this.#settings.concurrency;
    return { ...plan, api: this.#api, concurrency, tries: this.#tries(signalOf(options)), hooks: options };
  }

  /**
   * @param {AbortSignal} signal
   * @returns {Tries}
   */
  #tries(signal) {
    const { retryAttempts, retryDelay } = this.#settings;
    return { retryAttempts, retryDelay, env: this.#env, signal };
  }
}

/**
 * @param {Subject} subject
 * @param {{final_path?: string | null, storage_backend?: import("./types.js").StorageBackend}} answer
 * @returns {UploadResult}
 */
function succeeded(subject, { final_path: path, storage_backend: storageBackend }) {
  return { ...subject, finalPath: path ?? undefined, storageBackend, success: true };
}

/**
 * @param {TransferOptions} options
 * @returns {AbortSignal}  one that never stops anything where the application gave none
 */
function signalOf({ signal }) {
  return signal ?? new AbortController().signal;
}

/**
 * @param {string} name
 * @param {string} meaning
 */
function missingOption(name, meaning) {
  return new ChunkedUploaderError(`The option ${name} is missing: ${meaning}.`, undefined, "invalid-options");
}

/**
 * @param {Source} source
 * @param {UploadStatusResponse} status
 */
function assertSameSize({ size }, { total_size: expected }) {
  if (size === expected) return;
  const message = `This is another file: it has ${size} bytes, the upload was begun for ${expected}.`;
  throw new ChunkedUploaderError(message, undefined, "size-mismatch", { expected, actual: size });
}

/**
 * @param {UploadStatusResponse} status
 * @returns {number[]}
 */
function pendingIn({ parts }) {
  if (!Array.isArray(parts)) {
    const message = "The upload server does not tell which parts it has, so this upload cannot be resumed.";
    throw new ChunkedUploaderError(message, undefined, "parts-unknown");
  }
  return parts.filter(({ status }) => status === "pending").map(({ part }) => part);
}

/**
 * @param {number[]} missing
 * @param {Map<number, string>} tokens
 */
function assertTokens(missing, tokens) {
  const without = missing.filter((part) => !tokens.get(part));
  if (without.length === 0) return;
  const message = `The option partTokens is needed: this server does not hand out tokens again, and ${without.length} `
    + `of the missing parts have none (first: part ${without[0]}).`;
  throw new ChunkedUploaderError(message, undefined, "tokens-missing", { parts: without });
}
