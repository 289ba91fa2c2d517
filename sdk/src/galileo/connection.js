/**
 * One connection of GalileoSend, from its handshake to the finished file or to its end. What was lost with it is told by
 * an error; whether there is another one is decided in `uploader.js`.
 */

import { UploadError } from "../errors.js";
import { read } from "./signals.js";

/**
 * @typedef {import("../environment.js").Environment} Environment
 * @typedef {import("./signals.js").Arrived} Arrived
 * @typedef {import("./signals.js").Ready} Ready
 *
 * @typedef {object} Task  what one connection is to do
 * @property {Blob} file
 * @property {string} name
 * @property {string} url
 * @property {string | undefined} token
 * @property {string | undefined} id  the upload to go on with
 * @property {boolean} abort  to give it up instead
 * @property {boolean} subprotocol  whether the server knows the subprotocol
 * @property {number} stallAfter  milliseconds without any movement after which the line is given up
 * @property {typeof globalThis.WebSocket} WebSocket
 * @property {Environment} env
 * @property {AbortSignal} signal  closes it
 *
 * @typedef {object} Listener
 * @property {(id: string | undefined, stored: number) => void} onStored
 * @property {(sent: number) => void} onSent
 * @property {() => void} onUnknown  the server does not know the upload any more, and begins anew
 * @property {() => void} onFinishing
 */

const SUBPROTOCOL = "galileo.v2";
/** What a subprotocol may be made of: RFC 6455, section 4.1. */
const TOKEN = /^[A-Za-z0-9!#$%&'*+.^_`|~-]+$/;
/** What the original client sends where the server does not ask for another size. */
const DEFAULT_CHUNK = 250_000;
/** How often we look whether anything moves, in milliseconds. */
const LOOK_EVERY = 1000;

/**
 * @param {Task} task
 * @param {Listener} listener
 * @returns {Promise<Arrived>}
 */
export function converse(task, listener) {
  return new Promise((resolve, reject) => {
    new Conversation(task, listener, resolve, reject).begin();
  });
}

class Conversation {
  #task;
  #listener;
  #resolve;
  #reject;
  /** @type {WebSocket | null} */
  #socket = null;
  /** Bytes that were handed to the browser. */
  #sent = 0;
  #hasBegun = false;
  #isFinishing = false;
  #isOver = false;
  #lastMovement = 0;
  #buffered = 0;
  /** @type {() => void} */
  #stopLooking = () => {};

  /**
   * @param {Task} task
   * @param {Listener} listener
   * @param {(arrived: Arrived) => void} resolve
   * @param {(error: unknown) => void} reject
   */
  constructor(task, listener, resolve, reject) {
    this.#task = task;
    this.#listener = listener;
    this.#resolve = resolve;
    this.#reject = reject;
  }

  begin() {
    const { signal, url, token, subprotocol, WebSocket } = this.#task;
    if (signal.aborted) return this.#fail(signal.reason);
    const words = subprotocol ? [SUBPROTOCOL, ...(this.#isInHandshake() ? [`auth.${token}`] : [])] : [];
    const socket = new WebSocket(url, words);
    this.#socket = socket;
    socket.addEventListener("open", () => this.#attempt(() => this.#introduce()));
    socket.addEventListener("message", ({ data }) => this.#attempt(() => this.#hear(data)));
    socket.addEventListener("close", () => this.#fail(lost()));
    signal.addEventListener("abort", this.#onAbort);
    this.#lastMovement = this.#task.env.now();
    this.#look();
  }

  #onAbort = () => this.#fail(this.#task.signal.reason);

  /** Whether the token travels with the handshake. */
  #isInHandshake() {
    const { token, subprotocol } = this.#task;
    return token !== undefined && subprotocol && TOKEN.test(token);
  }

  #introduce() {
    const { name, file, id, token } = this.#task;
    const inMetadata = this.#isInHandshake() ? undefined : token;
    this.#say({ name, size: file.size, protocol: 2, resume: id, token: inMetadata });
  }

  /** @param {unknown} data */
  #hear(data) {
    this.#lastMovement = this.#task.env.now();
    const signal = read(data);
    if (signal.kind === "close") return this.#end(() => this.#resolve(signal.arrived));
    if (signal.kind === "ready") return this.#goOn(signal.ready);
    if (signal.kind !== "error") return;
    if (signal.fatal) return this.#fail(signal.error);
    if (signal.error.code === "resume_unknown") this.#listener.onUnknown();
  }

  /** @param {Ready} ready */
  #goOn({ chunksize, upload, offset, window = 0 }) {
    const { file, abort } = this.#task;
    if (abort) return this.#say({ abort: true });
    const chunk = typeof chunksize === "number" && chunksize > 0 ? chunksize : DEFAULT_CHUNK;
    // A server that tells no offset knows no window either: each of its readies is for the next chunk.
    const stored = offset ?? this.#sent;
    if (!this.#hasBegun) this.#sent = stored;
    const isFirst = !this.#hasBegun;
    this.#hasBegun = true;
    this.#listener.onStored(upload, stored);
    if (stored >= file.size && !(isFirst && file.size === 0 && offset === undefined)) return this.#finish();
    const edge = stored + Math.max(window, chunk);
    while (this.#sent < file.size && (this.#sent === stored || this.#sent + chunk <= edge)) {
      const end = Math.min(file.size, this.#sent + chunk);
      this.#socket?.send(file.slice(this.#sent, end));
      this.#sent = end;
      this.#listener.onSent(end);
    }
    if (file.size === 0) this.#socket?.send(file);
  }

  #finish() {
    if (this.#isFinishing) return;
    this.#isFinishing = true;
    this.#listener.onFinishing();
    this.#say({ finished: true });
  }

  /** @param {unknown} signal */
  #say(signal) {
    this.#socket?.send(JSON.stringify(signal));
  }

  /** Gives a line up on which nothing moves: no browser says so before many minutes have gone. */
  #look() {
    const { env, stallAfter } = this.#task;
    this.#stopLooking = env.after(LOOK_EVERY, () => {
      const buffered = this.#socket?.bufferedAmount ?? 0;
      if (buffered < this.#buffered) this.#lastMovement = env.now();
      this.#buffered = buffered;
      // How long it takes to put a large file in its place is the server's business.
      const patience = this.#isFinishing ? 20 * stallAfter : stallAfter;
      if (env.now() - this.#lastMovement > patience) {
        const text = "Nothing moves on the connection to the upload server.";
        return this.#fail(new UploadError("stalled", text, { isRetryable: true }));
      }
      this.#look();
    });
  }

  /** @param {() => void} act */
  #attempt(act) {
    if (this.#isOver) return;
    try {
      act();
    } catch (thrown) {
      this.#fail(thrown);
    }
  }

  /** @param {unknown} error */
  #fail(error) {
    this.#end(() => this.#reject(error));
  }

  /** @param {() => void} tell */
  #end(tell) {
    if (this.#isOver) return;
    this.#isOver = true;
    this.#stopLooking();
    this.#task.signal.removeEventListener("abort", this.#onAbort);
    this.#socket?.close();
    tell();
  }
}

function lost() {
  const text = "The connection to the upload server was lost.";
  return new UploadError("network", text, { isRetryable: true });
}
