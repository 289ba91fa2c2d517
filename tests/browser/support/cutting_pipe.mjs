// A TCP pipe on loopback that is as bad as a network can be: slow on demand, and cut after so many bytes. What it
// carries it does not understand.

import { connect, createServer } from "node:net";
import { sleep } from "./processes.mjs";

/**
 * How one connection ends before its time.
 * @typedef {object} Cut
 * @property {"up" | "down"} way whose bytes are counted: those to the server, or those from it
 * @property {number} bytes that are still passed on
 * @property {"fin" | "rst" | "silence"} how both sides see an orderly end; both a reset; or the client a reset and the
 * server nothing at all, as when a phone changes its network
 */

export class CuttingPipe {
  /**
   * @param {string} target address of the server behind it
   * @param {object} [behaviour]
   * @param {number} [behaviour.bytesPerSecond] to the server, of each connection
   * @param {(connection: number) => Cut | undefined} [behaviour.cut] asked for each connection, counted from 0
   */
  static async start(target, { bytesPerSecond = Infinity, cut = () => undefined } = {}) {
    const pipe = new CuttingPipe();
    const { hostname, port } = new URL(target);
    Object.assign(pipe, { host: hostname, port: Number(port), bytesPerSecond, cut });
    /** Connections so far, how many of them were cut, and bytes handed on to the server. */
    Object.assign(pipe, { connections: 0, cuts: 0, sent: 0 });
    pipe.sockets = new Set();
    pipe.server = createServer({ allowHalfOpen: true }, (near) => pipe.join(near));
    await new Promise((resolve) => pipe.server.listen(0, "127.0.0.1", resolve));
    pipe.url = `http://127.0.0.1:${pipe.server.address().port}`;
    return pipe;
  }

  async stop() {
    this.sockets.forEach((socket) => socket.destroy());
    await new Promise((resolve) => this.server.close(resolve));
  }

  join(near) {
    const far = connect({ port: this.port, host: this.host, allowHalfOpen: true });
    const link = { near, far, cut: this.cut(this.connections), isCut: false };
    this.connections += 1;
    for (const [socket, other] of [[near, far], [far, near]]) {
      socket.setNoDelay(true);
      this.sockets.add(socket);
      socket.once("close", () => this.sockets.delete(socket));
      // Whoever dies, the other hears of it, unless that is what we keep from it.
      socket.on("error", () => link.isCut || other.resetAndDestroy());
    }
    this.forward(link, near, far, "up");
    this.forward(link, far, near, "down");
  }

  forward(link, from, to, way) {
    let left = link.cut?.way === way ? link.cut.bytes : Infinity;
    from.on("data", async (chunk) => {
      if (link.isCut) return;
      const isLast = chunk.length >= left;
      const piece = isLast ? chunk.subarray(0, left) : chunk;
      left -= piece.length;
      const hasRoom = piece.length === 0 || to.write(piece);
      if (way === "up") this.sent += piece.length;
      if (isLast) return this.sever(link);
      if (hasRoom && (way === "down" || this.bytesPerSecond === Infinity)) return;
      from.pause();
      if (!hasRoom) await new Promise((resolve) => to.once("drain", resolve).once("close", resolve));
      if (way === "up") await sleep((piece.length / this.bytesPerSecond) * 1000);
      from.resume();
    });
    from.on("end", () => link.isCut || to.end());
  }

  sever(link) {
    link.isCut = true;
    this.cuts += 1;
    const { near, far, cut } = link;
    if (cut.how === "fin") {
      // Both are still read, for closing a socket that has unread bytes would reset it.
      near.end();
      far.end();
      setTimeout(() => [near, far].forEach((socket) => socket.destroy()), 2_000).unref();
      return;
    }
    near.resetAndDestroy();
    if (cut.how === "rst") far.resetAndDestroy();
  }
}
