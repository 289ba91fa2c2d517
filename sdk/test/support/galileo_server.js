/**
 * A server of GalileoSend in memory, and the `WebSocket` that leads to it: every message is a task of its own, and a test
 * says when a line breaks.
 */

export class GalileoServer {
  /** @type {Map<string, {name: string, size: number, bytes: Buffer}>} */
  uploads = new Map();
  /** First messages, and the subprotocols that were offered. */
  greetings = [];
  /** Sizes of all binary messages. */
  messages = [];
  chunksize = 10;
  window = 40;
  knowsOffsets = true;
  /** Called with each message before it is handled; true breaks the line. */
  breaks = () => false;
  /** Called with the finished upload; gives the last signal. */
  last = (id, upload) => ({ close: true, upload: id, path: `files/${id}`, size: upload.size });
  connections = 0;
  aborted = [];
  #count = 0;

  get WebSocket() {
    const server = this;
    return class extends Socket {
      constructor(url, words) {
        super(server, url, words);
      }
    };
  }

  /** @param {Socket} socket */
  async hear(socket, data) {
    if (this.breaks(data, socket)) return socket.drop();
    if (typeof data === "string") return this.#text(socket, JSON.parse(data));
    const bytes = Buffer.from(await data.arrayBuffer());
    this.messages.push(bytes.length);
    const upload = this.uploads.get(socket.id);
    upload.bytes = Buffer.concat([upload.bytes, bytes]);
    this.#ready(socket);
  }

  #text(socket, signal) {
    if (signal.abort) {
      this.uploads.delete(socket.id);
      this.aborted.push(socket.id);
      return socket.say({ error: "gone", fatal: true, code: "aborted" });
    }
    if (signal.finished) return socket.say(this.last(socket.id, this.uploads.get(socket.id)));
    this.greetings.push({ ...signal, words: socket.words, url: socket.url });
    socket.id = signal.resume;
    if (!this.uploads.has(socket.id)) {
      if (signal.resume) socket.say({ error: "unknown", fatal: false, code: "resume_unknown" });
      socket.id = `upload-${(this.#count += 1)}`;
      this.uploads.set(socket.id, { name: signal.name, size: signal.size, bytes: Buffer.alloc(0) });
    }
    this.#ready(socket);
  }

  #ready(socket) {
    const { chunksize, window } = this;
    const offset = this.uploads.get(socket.id).bytes.length;
    socket.say(this.knowsOffsets ? { ready: true, chunksize, window, upload: socket.id, offset } : { ready: true, chunksize });
  }
}

class Socket extends EventTarget {
  bufferedAmount = 0;
  #isOpen = true;
  #work = Promise.resolve();

  constructor(server, url, words) {
    super();
    Object.assign(this, { server, url, words });
    server.connections += 1;
    setImmediate(() => this.#isOpen && this.dispatchEvent(new Event("open")));
  }

  send(data) {
    this.#work = this.#work.then(() => this.#isOpen && this.server.hear(this, data));
  }

  say(signal) {
    if (this.#isOpen) this.dispatchEvent(Object.assign(new Event("message"), { data: JSON.stringify(signal) }));
  }

  drop() {
    if (!this.#isOpen) return;
    this.#isOpen = false;
    this.dispatchEvent(new Event("close"));
  }

  close() {
    this.#isOpen = false;
  }
}
