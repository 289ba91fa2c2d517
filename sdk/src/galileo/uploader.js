/**
 * One file over GalileoSend: connects, goes on after a lost connection and after a reload of the page, can be paused and
 * given up. With a server that knows no protocol 2 a lost connection begins anew.
 */

import { Emitter } from "../emitter.js";
import { surroundings } from "../environment.js";
import { UploadError, asUploadError, isInterruption } from "../errors.js";
import { Memory } from "../memory.js";
import { DEFAULT_POLICY, persist } from "../retry.js";
import { converse } from "./connection.js";

/**
 * @typedef {import("../environment.js").Environment} Environment
 * @typedef {import("../retry.js").Policy} Policy
 * @typedef {import("../retry.js").Retry} Retry
 * @typedef {import("./signals.js").Arrived} Arrived
 *
 * @typedef {"waiting" | "connecting" | "sending" | "finishing" | "paused" | "complete" | "failed" | "aborted"}
 *   GalileoState
 *
 * @typedef {object} GalileoProgress
 * @property {number} size  bytes of the file
 * @property {number} stored  bytes that the server has for good; this never lies
 * @property {number} sent  bytes that were handed to the browser, of which some may have to be sent again
 *
 * @typedef {object} GalileoEvents
 * @property {GalileoState} state
 * @property {GalileoProgress} progress
 * @property {Retry} retry  the connection was lost, and there will be another one
 * @property {UploadError} error  the upload failed
 *
 * @typedef {object} GalileoOptions
 * @property {string | (() => string | Promise<string>)} [url]  where the server listens, `/galileo` when absent; asked
 *   for anew before every connection, so that it may hold a ticket
 * @property {string} [token]  an API key, an upload's token or a ticket
 * @property {string} [name]  when the file has none or another is wanted
 * @property {Memory} [memory]  remembers the upload until it is finished, so that it goes on after a reload
 * @property {string} [resume]  the id of an upload to go on with
 * @property {boolean} [subprotocol]  false for a server that knows no subprotocol; true when absent
 * @property {Partial<Policy>} [policy]
 * @property {typeof globalThis.WebSocket} [WebSocket]  where there is none by itself
 * @property {Environment} [env]
 */

/** Names of uploads of this kind, apart from those of other protocols. */
const SHELF = "muleteer.galileo";
const CAN_START = new Set(["waiting", "paused", "failed"]);

export class GalileoUploader {
  /** @type {Emitter<GalileoEvents>} */
  #events = new Emitter();
  /** @type {GalileoState} */
  #state = "waiting";
  /** @type {AbortController | null} */
  #running = null;
  /** @type {Promise<void>} */
  #work = Promise.resolve();
  #stored = 0;
  #sent = 0;
  /** @type {string | undefined} */
  #id;
  /** @type {Arrived | null} */
  #arrived = null;

  /**
   * @param {Blob | File} file
   * @param {GalileoOptions} [options]
   */
  constructor(file, options = {}) {
    this.file = file;
    this.name = options.name ?? ("name" in file ? file.name : "blob");
    this.lastModified = "lastModified" in file ? file.lastModified : undefined;
    this.options = options;
    this.env = options.env ?? surroundings;
    this.policy = { ...DEFAULT_POLICY, stallAfter: 30_000, ...options.policy };
    this.memory = options.memory ?? new Memory(undefined, SHELF);
    this.#id = options.resume ?? this.#remembered();
    /** @type {UploadError | null} why it failed */
    this.error = null;
  }

  /** Where it stands. */
  get state() {
    return this.#state;
  }

  /** The server's name for this upload, once it has one. */
  get id() {
    return this.#id;
  }

  /** @returns {GalileoProgress} */
  get progress() {
    return { size: this.file.size, stored: this.#stored, sent: Math.max(this.#sent, this.#stored) };
  }

  /**
   * @template {keyof GalileoEvents} Name
   * @param {Name} name
   * @param {(news: GalileoEvents[Name]) => void} listener
   * @returns {() => void} stops listening
   */
  on(name, listener) {
    return this.#events.on(name, listener);
  }

  /** Begins, or goes on. */
  start() {
    if (!CAN_START.has(this.#state)) return this;
    this.error = null;
    this.#run(false);
    return this;
  }

  /** Ends the connection; what is stored stays there. */
  pause() {
    if (!this.#running) return;
    this.#running.abort(new UploadError("paused", "The upload is paused."));
    this.#tell("paused");
  }

  /** Goes on after a pause. */
  resume() {
    return this.start();
  }

  /**
   * Gives the upload up, and has the server drop what it has stored.
   * @returns {Promise<void>} once that is done, or nothing can be done any more
   */
  async abort() {
    if (this.#state === "complete" || this.#state === "aborted") return;
    const wasRunning = this.#running !== null;
    this.#running?.abort(new UploadError("cancelled", "The upload was given up."));
    await this.#work;
    // It may have been finished while we waited.
    if (this.#arrived) return;
    if (this.#id !== undefined || wasRunning) this.#run(true);
    await this.#work;
    this.#forget();
    this.#tell("aborted");
  }

  /**
   * @returns {Promise<Arrived>} the finished file
   * @throws {UploadError} once it has failed, or was given up
   */
  finished() {
    return new Promise((resolve, reject) => {
      const settle = () => {
        if (this.#arrived) resolve(this.#arrived);
        else if (this.#state === "failed") reject(this.error);
        else if (this.#state === "aborted") reject(new UploadError("cancelled", "The upload was given up."));
        else return false;
        return true;
      };
      if (settle()) return;
      const stop = this.on("state", () => settle() && stop());
    });
  }

  /** @param {boolean} isAbort */
  #run(isAbort) {
    const running = new AbortController();
    this.#running = running;
    this.#tell("connecting");
    const before = this.#work;
    this.#work = (async () => {
      await before;
      try {
        this.#arrived = await this.#deliver(running.signal, isAbort);
        this.#running = null;
        this.#forget();
        this.#note(this.file.size, this.file.size);
        this.#tell("complete");
      } catch (thrown) {
        if (this.#running === running) this.#running = null;
        if (isAbort || isInterruption(thrown)) return;
        const error = asUploadError(thrown);
        this.error = error;
        this.#events.emit("error", error);
        this.#tell("failed");
      }
    })();
  }

  /**
   * As many connections as it takes. One that has brought the upload forward gives it new patience.
   * @param {AbortSignal} signal
   * @param {boolean} isAbort
   * @returns {Promise<Arrived>}
   */
  async #deliver(signal, isAbort) {
    const policy = isAbort ? { ...this.policy, patience: Math.min(this.policy.patience, 20_000) } : this.policy;
    /** @param {Retry} retry */
    const onRetry = (retry) => {
      this.#tell("connecting");
      this.#events.emit("retry", retry);
    };
    for (;;) {
      const before = this.#stored;
      /** @type {UploadError | undefined} */
      let cut;
      const arrived = await persist(async () => {
        try {
          return await this.#connect(signal, isAbort);
        } catch (thrown) {
          const isForward = this.#stored > before;
          if (!isForward || signal.aborted || !(thrown instanceof UploadError && thrown.isRetryable)) throw thrown;
          cut = thrown;
          return null;
        }
      }, { env: this.env, policy, signal, onRetry });
      if (arrived) return arrived;
      if (cut) {
        const pause = this.env.random() * policy.firstPause;
        onRetry({ error: cut, pause, attempt: 1 });
        await this.env.sleep(pause, signal);
      }
    }
  }

  /**
   * @param {AbortSignal} signal
   * @param {boolean} abort
   * @returns {Promise<Arrived>}
   */
  async #connect(signal, abort) {
    await this.#assertReadable();
    const { url = "/galileo", token, subprotocol = true, WebSocket = globalThis.WebSocket } = this.options;
    const address = absolute(typeof url === "function" ? await url() : url);
    const { file, name, env } = this;
    const { stallAfter } = this.policy;
    return converse(
      { file, name, url: address, token, subprotocol, WebSocket, env, signal, abort, stallAfter, id: this.#id },
      {
        onUnknown: () => {
          this.#forget();
          this.#note(0, 0);
        },
        onStored: (id, stored) => {
          // Without an id there is nothing to come back to.
          if (id !== undefined && id !== this.#id) this.#remember(id);
          this.#note(stored, Math.max(stored, this.#state === "sending" ? this.#sent : 0));
          this.#tell("sending");
        },
        onSent: (sent) => this.#note(this.#stored, sent),
        onFinishing: () => this.#tell("finishing"),
      },
    );
  }

  /** A file that was changed or moved since it was chosen cannot be read any more, and no browser says so later. */
  async #assertReadable() {
    try {
      await this.file.slice(0, 1).arrayBuffer();
    } catch (thrown) {
      throw new UploadError("file-changed", "The file has changed, or cannot be read any more.", { cause: thrown });
    }
  }

  /**
   * @param {number} stored
   * @param {number} sent
   */
  #note(stored, sent) {
    this.#stored = stored;
    this.#sent = sent;
    this.#events.emit("progress", this.progress);
  }

  /** @param {GalileoState} state */
  #tell(state) {
    if (state === this.#state) return;
    this.#state = state;
    this.#events.emit("state", state);
  }

  #remembered() {
    const { name, lastModified, file } = this;
    const isSame = (/** @type {import("../memory.js").Unfinished} */ other) =>
      other.name === name && other.size === file.size && other.lastModified === lastModified;
    return this.memory.list().find(isSame)?.id;
  }

  /** @param {string} id */
  #remember(id) {
    this.#id = id;
    this.memory.remember({ id, name: this.name, size: this.file.size, lastModified: this.lastModified });
  }

  #forget() {
    if (this.#id !== undefined) this.memory.forget(this.#id);
    this.#id = undefined;
  }
}

/**
 * @param {string} url
 * @returns {string}  with `ws:` or `wss:`
 */
function absolute(url) {
  const here = globalThis.location?.href;
  return new URL(url, here).href.replace(/^http/, "ws");
}
