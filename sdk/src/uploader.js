/**
 * One file's life: waiting, under way, paused, whole or failed. It knows no protocol and no page; it decides what
 * happens next and tells whoever listens.
 */

import { Emitter } from "./emitter.js";
import { surroundings } from "./environment.js";
import { UploadError, asUploadError, throwIfAborted } from "./errors.js";
import { fingerprint } from "./fingerprint.js";
import { Pool, clampWorkers } from "./pool.js";
import { native } from "./protocols/native.js";
import { DEFAULT_POLICY } from "./retry.js";
import { deliver } from "./workers.js";

/**
 * @typedef {import("./types.js").Protocol} Protocol
 * @typedef {import("./types.js").Session} Session
 * @typedef {import("./types.js").Result} Result
 * @typedef {import("./types.js").Run} Run
 * @typedef {import("./types.js").Policy} Policy
 * @typedef {import("./types.js").Retry} Retry
 * @typedef {import("./types.js").Environment} Environment
 * @typedef {import("./types.js").Way} Way
 *
 * @typedef {"waiting" | "hashing" | "uploading" | "paused" | "offline" | "completing" | "complete" | "failed"
 *   | "cancelled"} State
 *
 * @typedef {object} Progress
 * @property {number} size  bytes of the file
 * @property {number} acknowledged  bytes that the store has confirmed; this never lies
 * @property {number} inFlight  bytes on their way that may have to be sent again
 * @property {number} partsDone
 * @property {number} partCount  0 before the server has planned them, and for an empty file
 *
 * @typedef {object} UploadEvents
 * @property {State} state
 * @property {Progress} progress  may come a hundred times a second
 * @property {number} part  this part's state changed; read it from `upload.slices`
 * @property {Session} session  the server knows the upload now (again)
 * @property {Way} route  parts travel another way from now on
 * @property {Retry & {part?: number}} retry  something failed and will be tried again
 * @property {UploadError} error  the upload failed, or could not be given up
 *
 * @typedef {object} UploadOptions
 * @property {Protocol} [protocol]  our own API at `/api/v1` when absent
 * @property {Pool} [pool]  shared with other uploads; without one this upload has its own
 * @property {number} [workers]  most parts at once, 1 to 16: 4, or with a pool whatever it grants
 * @property {string} [name]  when the file has none or another is wanted
 * @property {string} [contentType]
 * @property {Record<string, string>} [metadata]  strings kept with the object
 * @property {number} [partSize]  bytes
 * @property {boolean} [resume]  take up an unfinished upload of the same file; true when absent
 * @property {import("./memory.js").Memory} [memory]  remembers it until it is finished
 * @property {Partial<Policy>} [policy]
 * @property {Environment} [env]
 */

/** How often parts that the server misses at the end are sent again before we give up. */
const MOST_REPAIRS = 3;
/** What is sent wholly is joined before anybody sends more: one short call, and a file is safe. */
const FIRST_IN_LINE = 0;
const CAN_PAUSE = new Set(["waiting", "hashing", "uploading", "completing"]);
/** In these states there is something that a lost network interrupts. */
const NETWORKED = new Set(["hashing", "uploading", "completing"]);
/** The server's record of this upload is of no more use, but the file can begin anew. */
const GONE = new Set(["vanished", "expired", "not-found"]);
/** Somebody else may have finished or ended it: worth a look before failing. */
const WORTH_A_LOOK = new Set(["vanished", "refused", "wrong-state"]);

export class Upload {
  /** @type {Emitter<UploadEvents>} */
  #events = new Emitter();
  /** @type {State} the state as if we were always online */
  #phase = "waiting";
  /** @type {State} the last one told */
  #told = "waiting";
  #isOnline = true;
  /** @type {Session | null} */
  #session = null;
  /** @type {AbortController | null} */
  #running = null;
  #work = Promise.resolve();
  #hasRestarted = false;
  /** @type {Way} */
  #route = "direct";
  /** @type {string | undefined} */
  #fingerprint;
  /** Whether the server was asked to begin, and has not answered. */
  #isBeginning = false;

  /**
   * @param {Blob | File} file
   * @param {UploadOptions} [options]
   */
  constructor(file, options = {}) {
    this.file = file;
    this.name = options.name ?? ("name" in file ? file.name : "blob");
    this.lastModified = "lastModified" in file ? file.lastModified : undefined;
    this.options = options;
    this.env = options.env ?? surroundings;
    this.protocol = options.protocol ?? native();
    this.pool = options.pool ?? new Pool(options.workers ?? 4);
    this.workers = clampWorkers(options.workers ?? (options.pool ? 16 : 4));
    this.rank = this.pool.nextRank();
    this.policy = { ...DEFAULT_POLICY, ...options.policy };
    /** @type {UploadError | null} why it failed */
    this.error = null;
  }

  /** @returns {State} */
  get state() {
    return !this.#isOnline && NETWORKED.has(this.#phase) ? "offline" : this.#phase;
  }

  /** The server's name for this upload, once it has one. */
  get id() {
    return this.#session?.id ?? null;
  }

  /** By which a person names this upload to whoever helps them, once the server has told it. */
  get supportCode() {
    return this.#session?.supportCode ?? null;
  }

  /** The parts, once the server has planned them. */
  get slices() {
    return this.#session?.slices ?? null;
  }

  /** How parts travel: straight to the store, or through our server while the store cannot be reached. */
  get route() {
    return this.#route;
  }

  /** @returns {Result | null} the finished object */
  get result() {
    return this.#session?.result ?? null;
  }

  /** @returns {Progress} */
  get progress() {
    const slices = this.slices;
    return {
      size: this.file.size,
      acknowledged: this.result ? this.file.size : slices?.acknowledged ?? 0,
      inFlight: slices?.inFlight ?? 0,
      partsDone: slices?.doneCount ?? 0,
      partCount: slices?.count ?? 0,
    };
  }

  /**
   * @template {keyof UploadEvents} Name
   * @param {Name} name
   * @param {(news: UploadEvents[Name]) => void} listener
   * @returns {() => void} stops listening
   */
  on(name, listener) {
    return this.#events.on(name, listener);
  }

  /**
   * Begins, or goes on after a pause or a failure. What the store holds is never sent again.
   * @returns {this}
   */
  start() {
    if (this.#running || this.#phase === "complete" || this.#phase === "cancelled") return this;
    const controller = new AbortController();
    const before = this.#work;
    this.#running = controller;
    this.error = null;
    this.#hasRestarted = false;
    this.#enter("waiting");
    this.#work = before.then(() => this.#live(controller));
    return this;
  }

  /** The same as {@link start}; reads better beside {@link pause}. */
  resume() {
    return this.start();
  }

  /** Stops at once. Parts under way are sent anew later, unless the store turns out to have them. */
  pause() {
    if (!CAN_PAUSE.has(this.#phase)) return;
    this.#interrupt("paused", "The upload was paused.");
    this.#enter("paused");
  }

  /**
   * Gives up for good, here and on the server.
   * @returns {Promise<void>} resolves when the server has heard of it, or could not be told
   */
  async cancel() {
    if (this.#phase === "complete" || this.#phase === "cancelled") return;
    this.#interrupt("cancelled", "The upload was cancelled.");
    this.#enter("cancelled");
    await this.#work;
    try {
      const session = this.#session ?? (await this.#findHalfBegun());
      if (!session) return;
      this.options.memory?.forget(session.id);
      await this.protocol.discard(session, this.#run(new AbortController()));
    } catch (thrown) {
      const error = asUploadError(thrown);
      if (error.status !== 404 && error.status !== 410) this.#events.emit("error", error);
    }
  }

  /**
   * @returns {Promise<Result>} resolves with the finished object; rejects when the upload fails or is cancelled,
   *   and then again may be asked for after {@link start}
   */
  finished() {
    return new Promise((resolve, reject) => {
      const look = () => {
        if (this.#phase === "complete") resolve(/** @type {Result} */ (this.result));
        else if (this.#phase === "failed") reject(this.error);
        else if (this.#phase === "cancelled") reject(new UploadError("cancelled", "The upload was cancelled."));
        else return;
        stop();
      };
      const stop = this.on("state", look);
      look();
    });
  }

  /** @param {AbortController} controller */
  async #live(controller) {
    const run = this.#run(controller);
    this.#isOnline = this.env.isOnline();
    const stopListening = this.env.onConnectivity((online) => {
      this.#isOnline = online;
      this.#tell();
    });
    try {
      throwIfAborted(run.signal);
      await this.#open(run);
      await this.#bringHome(run);
      this.options.memory?.forget(/** @type {Session} */ (this.#session).id);
      this.#running = null;
      this.#enter("complete");
    } catch (thrown) {
      if (controller.signal.aborted) return; // whoever interrupted has said why
      this.#running = null;
      this.error = asUploadError(thrown);
      this.#enter("failed");
      this.#events.emit("error", this.error);
    } finally {
      stopListening();
    }
  }

  /**
   * The server's session, new or found again, in a slot of the pool: a hundred files chosen at once do not
   * begin a hundred uploads at once.
   * @param {Run} run
   */
  async #open(run) {
    await this.#inSlot(run.signal, async () => {
      if (!this.#session) return this.#create(run, this.options.resume ?? true);
      this.#enter("uploading");
      try {
        await this.protocol.status(this.#session, run);
      } catch (thrown) {
        await this.#recover(asUploadError(thrown), run);
      }
    });
    this.#tellProgress();
  }

  /**
   * @param {Run} run
   * @param {boolean} resume
   */
  async #create(run, resume) {
    const { options, file, name, lastModified } = this;
    this.#enter("hashing");
    this.#fingerprint ??= await fingerprint(file, { name, lastModified }, this.env).catch((cause) => {
      const message = "The file cannot be read. Was it moved, or is it a folder?";
      throw new UploadError("file-changed", message, { cause });
    });
    throwIfAborted(run.signal);
    this.#isBeginning = true;
    const session = await this.protocol.create(this.#source(resume), run).catch((thrown) => {
      this.#isBeginning = run.signal.aborted;
      throw thrown;
    });
    this.#isBeginning = false;
    this.#session = session;
    if (!session.result) options.memory?.remember({ id: session.id, name, size: file.size, lastModified });
    this.#enter("uploading");
    this.#events.emit("session", session);
  }

  /**
   * What the server may have begun when it was interrupted: asked again, it finds that upload, which can then be
   * given up instead of lying there as unfinished.
   * @returns {Promise<Session | undefined>}
   */
  async #findHalfBegun() {
    if (!this.#isBeginning) return undefined;
    const controller = new AbortController();
    const silence = new UploadError("network", "The server does not answer.");
    const limit = setTimeout(() => controller.abort(silence), 10_000);
    try {
      return await this.protocol.create(this.#source(true), this.#run(controller));
    } finally {
      clearTimeout(limit);
    }
  }

  /**
   * @param {boolean} resume
   * @returns {import("./types.js").Source}
   */
  #source(resume) {
    const { options, file, name, lastModified } = this;
    return {
      file,
      name,
      lastModified,
      resume,
      fingerprint: this.#fingerprint,
      contentType: options.contentType ?? file.type,
      metadata: options.metadata,
      partSize: options.partSize,
    };
  }

  /**
   * Sends and joins until the object is whole, repairing what can be repaired.
   * @param {Run} run
   */
  async #bringHome(run) {
    let repairs = 0;
    for (;;) {
      const session = /** @type {Session} */ (this.#session);
      if (session.result) return;
      try {
        this.#enter("uploading");
        await this.#deliver(session, run);
        this.#enter("completing");
        await this.pool.use(FIRST_IN_LINE, run.signal, () => this.protocol.finish(session, run));
      } catch (thrown) {
        throwIfAborted(run.signal);
        const error = asUploadError(thrown);
        const canRepair = error.code === "incomplete" && !session.slices.isWhole && repairs < MOST_REPAIRS;
        if (canRepair) repairs += 1;
        else await this.#recover(error, run);
      }
    }
  }

  /**
   * @param {Session} session
   * @param {Run} run
   */
  #deliver(session, run) {
    const { protocol, file, workers } = this;
    return deliver({
      protocol,
      session,
      file,
      workers,
      inSlot: (signal, task) => this.#inSlot(signal, task),
      onProgress: () => this.#tellProgress(),
      onPart: (number) => this.#events.emit("part", number),
      onRetry: (retry) => this.#events.emit("retry", retry),
    }, run);
  }

  /**
   * Where the upload may have been finished elsewhere, looks; where its server side is gone, begins anew, once.
   * @param {UploadError} error
   * @param {Run} run
   */
  async #recover(error, run) {
    const session = /** @type {Session} */ (this.#session);
    let cause = error;
    if (WORTH_A_LOOK.has(error.code) && error.status !== 410) {
      try {
        await this.protocol.status(session, run);
        if (session.result) return;
      } catch (thrown) {
        throwIfAborted(run.signal);
        cause = asUploadError(thrown);
      }
    }
    if (!GONE.has(cause.code) || this.#hasRestarted) throw cause;
    this.#hasRestarted = true;
    this.options.memory?.forget(session.id);
    await this.#create(run, false);
  }

  /**
   * @template T
   * @param {AbortSignal} signal
   * @param {() => Promise<T>} task
   */
  #inSlot(signal, task) {
    return this.pool.use(this.rank, signal, task);
  }

  /**
   * @param {AbortController} controller
   * @returns {Run}
   */
  #run(controller) {
    return {
      env: this.env,
      policy: this.policy,
      signal: controller.signal,
      onRetry: (retry) => this.#events.emit("retry", retry),
      onRoute: (way) => {
        if (way !== this.#route) this.#events.emit("route", (this.#route = way));
      },
    };
  }

  /**
   * @param {"paused" | "cancelled"} code
   * @param {string} message
   */
  #interrupt(code, message) {
    this.#running?.abort(new UploadError(code, message));
    this.#running = null;
  }

  /** @param {State} phase */
  #enter(phase) {
    this.#phase = phase;
    this.#tell();
  }

  #tell() {
    if (this.state === this.#told) return;
    this.#told = this.state;
    this.#events.emit("state", this.state);
    this.#tellProgress();
  }

  #tellProgress() {
    this.#events.emit("progress", this.progress);
  }
}
