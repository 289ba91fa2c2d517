// The program as a chunk server: finished files in a local folder, parts of 5 MiB, a page of another site allowed.

import assert from "node:assert/strict";
import { createHash } from "node:crypto";
import { mkdir, mkdtemp, readdir, readFile, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join, resolve } from "node:path";
import { Browser } from "./page.mjs";
import { Server } from "./server.mjs";
import { startSite } from "./site.mjs";

export const CHUNK_SIZE = 5 << 20;

/**
 * @param {import("node:test").TestContext} test everything ends with it
 * @param {Record<string, string | number>} [settings] further `MULETEER_…` variables
 */
export async function startChunkServer(test, settings = {}) {
  const folder = await mkdtemp(join(tmpdir(), "muleteer-chunks-"));
  const cleanUps = [() => rm(folder, { recursive: true, force: true, maxRetries: 5 })];
  test.after(async () => {
    for (const cleanUp of cleanUps.reverse()) await cleanUp();
  });
  const [data, stored, files] = ["data", "stored", "files"].map((name) => join(folder, name));
  await Promise.all([data, stored, files].map((path) => mkdir(path)));
  const site = await startSite(test);
  const variables = {
    MULETEER_STORAGE__BACKEND: "local",
    MULETEER_STORAGE__LOCAL__PATH: stored,
    MULETEER_PROTOCOLS__CHUNKS__CHUNK_SIZE_MB: CHUNK_SIZE >> 20,
    MULETEER_CORS__ALLOWED_ORIGINS: site,
    ...settings,
  };
  const server = await Server.start(
    data, Object.fromEntries(Object.entries(variables).map(([name, value]) => [name, String(value)])));
  cleanUps.push(() => server.stop());

  return {
    server, stored, files, site,
    key: await server.createKey("anna"),

    /** A page of the other site, in a browser of its own. */
    async page() {
      const browser = await Browser.open(join(folder, "profile"));
      cleanUps.push(() => browser.close());
      const page = browser.context.pages()[0] ?? (await browser.context.newPage());
      await page.goto(site);
      return page;
    },

    /**
     * Holds the finished file against the original, byte for byte.
     * @param {string} path as the server told it
     * @param {{ size: number, sha256: string }} file
     */
    async assertArrived(path, file) {
      const bytes = await readFile(resolve(data, path));
      const sha256 = createHash("sha256").update(bytes).digest("hex");
      assert.deepEqual({ size: bytes.length, sha256 }, { size: file.size, sha256: file.sha256 }, path);
    },

    /** Names of all files below the folder of finished files, whatever the server keeps there besides. */
    async filesStored() {
      const entries = await readdir(stored, { recursive: true, withFileTypes: true });
      return entries.filter((entry) => entry.isFile()).map((entry) => entry.name);
    },
  };
}
