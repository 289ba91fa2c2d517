// A TCP pipe on loopback that counts what goes through it, to prove which way the bytes of a file did not take.

import { connect, createServer } from "node:net";

export class CountingPipe {
  /** @param {string} target address of the server behind it */
  static async start(target) {
    const pipe = new CountingPipe();
    const { hostname, port } = new URL(target);
    pipe.sent = 0;
    pipe.received = 0;
    pipe.sockets = new Set();
    pipe.server = createServer((near) => {
      const far = connect(Number(port), hostname);
      for (const socket of [near, far]) {
        pipe.sockets.add(socket);
        socket.once("close", () => pipe.sockets.delete(socket));
        socket.on("error", () => {
          near.destroy();
          far.destroy();
        });
      }
      near.on("data", (chunk) => (pipe.sent += chunk.length));
      far.on("data", (chunk) => (pipe.received += chunk.length));
      near.pipe(far);
      far.pipe(near);
    });
    await new Promise((resolve) => pipe.server.listen(0, "127.0.0.1", resolve));
    pipe.url = `http://127.0.0.1:${pipe.server.address().port}`;
    return pipe;
  }

  async stop() {
    this.sockets.forEach((socket) => socket.destroy());
    await new Promise((resolve) => this.server.close(resolve));
  }
}
