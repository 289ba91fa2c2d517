// The program as a tus server, with its finished files in a local folder or in a bucket, and a page of another site that
// has loaded the unmodified tus-js-client. What arrived is looked for behind the server's back.

import assert from "node:assert/strict";
import { createHash } from "node:crypto";
import { mkdir, readdir, readFile } from "node:fs/promises";
import { createRequire } from "node:module";
import { basename, join, relative, sep } from "node:path";
import { startSite } from "./site.mjs";
import { startStack, STORES } from "./stack.mjs";

/** Where finished files go in these tests. */
export const PLACES = [{ name: "a local folder", kind: "local", partSize: STORES[0].partSize }, ...STORES];

/** All objects of uploads stand below this, see `uploads.key_template`. */
const PREFIX = "uploads/";

/** What becomes of a file's name in an object's key; the true one travels beside it. */
export const inKey = (name) => name.replace(/[^A-Za-z0-9._-]+/g, "_");

/** The client as its makers build it for a page's `<script>`. */
async function clientScript() {
  const client = createRequire(import.meta.url).resolve("tus-js-client/package.json");
  return readFile(join(client, "../dist/tus.min.js"), "utf8");
}

/**
 * @param {import("node:test").TestContext} test everything ends with it
 * @param {object} [options]
 * @param {{ kind: string, partSize: number }} [options.place] one of {@link PLACES}
 * @param {Record<string, string | number>} [options.settings] further `MULETEER_…` variables
 * @param {string} [options.script] what the page has loaded instead of the client
 */
export async function startTus(test, { place = PLACES[0], settings = {}, script } = {}) {
  const site = await startSite(test, { "/page.js": script ?? (await clientScript()) }, "<script src=/page.js></script>");
  const isLocal = place.kind === "local";
  const stack = await startStack(test, {
    store: isLocal ? STORES[0] : place,
    settings: {
      MULETEER_CORS__ALLOWED_ORIGINS: site,
      ...(isLocal && { MULETEER_STORAGE__BACKEND: "local", MULETEER_STORAGE__LOCAL__PATH: "stored" }),
      ...settings,
    },
  });
  const folder = join(stack.server.data, "stored");
  if (isLocal) await mkdir(folder, { recursive: true });
  const seen = new Set();

  /** Paths below the prefix of all finished files. */
  async function finished() {
    if (!isLocal) return stack.s3.keys(stack.bucket, PREFIX);
    const entries = await readdir(folder, { recursive: true, withFileTypes: true });
    const paths = entries
      .filter((entry) => entry.isFile())
      .map((entry) => relative(folder, join(entry.parentPath ?? entry.path, entry.name)).split(sep).join("/"));
    return paths.filter((path) => path.startsWith(PREFIX));
  }

  async function digest(path) {
    if (!isLocal) {
      const { size, sha256 } = await stack.s3.digest(stack.bucket, path);
      return { size, sha256 };
    }
    const bytes = await readFile(join(folder, path));
    return { size: bytes.length, sha256: createHash("sha256").update(bytes).digest("hex") };
  }

  /** What is there now and was not when this was last asked: name, size and digest of each. */
  async function arrivals() {
    const paths = (await finished()).filter((path) => !seen.has(path));
    paths.forEach((path) => seen.add(path));
    return Promise.all(paths.map(async (path) => ({ name: basename(path), path, ...(await digest(path)) })));
  }

  return {
    server: stack.server, files: stack.files, folder: stack.folder, site, arrivals,
    key: await stack.server.createKey("anna"),

    /** A page of the other site, in a browser of its own. */
    async page() {
      const browser = await stack.browser();
      const page = browser.context.pages()[0] ?? (await browser.context.newPage());
      await page.goto(site);
      return page;
    },

    /**
     * Exactly this one file has arrived since the last look, byte for byte and under its name.
     * @param {{ name: string, size: number, sha256: string }} file
     */
    async assertArrived({ name, size, sha256 }) {
      const found = (await arrivals()).map((object) => [object.name, object.size, object.sha256]);
      assert.deepEqual(found, [[inKey(name), size, sha256]]);
    },

    /** Whether what arrived under this path is still there. */
    async has(path) {
      return (await finished()).includes(path);
    },

    async assertNothingArrived() {
      assert.deepEqual(await arrivals(), []);
    },
  };
}
