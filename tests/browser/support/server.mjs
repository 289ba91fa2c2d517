// The real program, as an operator would start it.

import { join, resolve } from "node:path";
import { fileURLToPath } from "node:url";
import { freePort, run, startProcess } from "./processes.mjs";

const project = resolve(fileURLToPath(import.meta.url), "../../../..");
export const program = process.env.MULETEER_TEST_PROGRAM || join(project, "target/debug/muleteer");

/** One server with fixed ports and a fixed data folder, that can be killed and started again. */
export class Server {
  /**
   * @param {string} data folder for the database and the embedded store
   * @param {Record<string, string>} settings `MULETEER_<SECTION>__<KEY>` variables
   */
  static async start(data, settings) {
    const server = new Server();
    server.data = data;
    server.port = await freePort();
    server.storePort = Number(settings.MULETEER_DEV_S3__PORT ?? (await freePort()));
    server.url = `http://127.0.0.1:${server.port}`;
    // Nothing of our own environment: variables such as S3_ENDPOINT, PORT or API_KEY mean something to the program.
    server.env = { PATH: process.env.PATH, HOME: data, RUST_BACKTRACE: "1", ...settings };
    await server.restart();
    return server;
  }

  /** Starts the program on the same ports and data as before. */
  async restart() {
    const words = ["serve", "--port", this.port, "--s3-port", this.storePort, "--data", this.data].map(String);
    this.process = await startProcess(program, words, {
      cwd: this.data,
      env: this.env,
      ready: /^muleteer listening on http:\/\/\S+$/m,
    });
  }

  /** As a power cut: no last word to anybody. */
  async kill() {
    await this.process.end("SIGKILL");
  }

  /** As an operator: waits for the orderly end. */
  async stop() {
    return this.process.end("SIGTERM");
  }

  /** The server's log so far (its end, if it is long). */
  get log() {
    return this.process.output.stderr;
  }

  /** Makes an API key with the program's own command. */
  async createKey(owner, scopes = "upload") {
    const words = ["keys", "create", "--owner", owner, "--scopes", scopes];
    const env = { ...this.env, MULETEER_DATA_DIR: this.data };
    return (await run(program, words, { cwd: this.data, env })).trim();
  }
}
