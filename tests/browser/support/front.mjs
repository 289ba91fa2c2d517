// One of the reverse proxies of deploy/ in front of the program, below a path, on an odd port.

import { spawn } from "node:child_process";
import { join, resolve } from "node:path";
import { fileURLToPath } from "node:url";
import { freePort, until } from "./processes.mjs";

const script = resolve(fileURLToPath(import.meta.url), "../../../../scripts/proxy");

/** The proxies that there are samples for; none where they are skipped on purpose. */
export const PROXIES = process.env.MULETEER_TEST_PROXIES === "skip" ? [] : ["nginx", "caddy"];

/** An address at which a proxy will serve a server, and the server's settings for it. */
export async function plannedFront() {
  const port = await freePort();
  const url = `http://127.0.0.1:${port}/uploads`;
  return {
    port,
    url,
    settings: {
      MULETEER_SERVER__PUBLIC_URL: url,
      MULETEER_SERVER__TRUSTED_PROXIES: '["127.0.0.1"]',
      MULETEER_AUTH__ANONYMOUS: "on",
    },
  };
}

/**
 * Starts the proxy, until the test ends.
 * @param {import("node:test").TestContext} test
 * @param {string} proxy one of PROXIES
 * @param {{ port: number, url: string }} front
 * @param {{ port: number }} server
 * @param {string} folder
 */
export async function startFront(test, proxy, { port, url }, server, folder) {
  const child = spawn(script, [proxy, port, server.port, join(folder, "proxy")].map(String), { stdio: "ignore" });
  const ended = new Promise((done) => child.once("exit", done));
  process.once("exit", () => child.kill("SIGKILL"));
  test.after(async () => {
    child.kill("SIGKILL");
    await ended;
  });
  await until(`${proxy} answers`, async () => {
    if (child.exitCode !== null) throw new Error(`${proxy} cannot be started: ${script} says why`);
    return (await fetch(`${url}/health/live`).catch(() => null))?.ok;
  });
}
