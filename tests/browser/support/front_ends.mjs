// Pages of operators that load an unmodified client from npm and the code that a guide prints, together with a stack
// behind them.

import assert from "node:assert/strict";
import { readFile } from "node:fs/promises";
import { createRequire } from "node:module";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { startSite } from "./site.mjs";
import { startStack } from "./stack.mjs";

const GUIDES = fileURLToPath(new URL("../../../docs/front-ends/", import.meta.url));

/** The text of a file of an installed package. */
export async function packaged(name, file) {
  const root = join(createRequire(import.meta.url).resolve(`${name}/package.json`), "..");
  return readFile(join(root, file), "utf8");
}

/** The one JavaScript block of a guide that has this function. */
export async function printed(guide, name) {
  const text = await readFile(join(GUIDES, guide), "utf8");
  const blocks = [...text.matchAll(/^```js\n([^]*?)^```$/gm)].map((match) => match[1]);
  const found = blocks.filter((block) => block.includes(`function ${name}(`));
  assert.equal(found.length, 1, `one block with ${name}`);
  return found[0];
}

/**
 * A page of another site that has loaded these scripts, and a stack that lets it call.
 * @param {import("node:test").TestContext} test
 * @param {string[]} scripts
 * @param {object} [options] as for `startStack`; `person` opens the page in a browser with other options
 */
export async function startFrontEnd(test, scripts, { settings = {}, ...options } = {}) {
  const files = Object.fromEntries(scripts.map((text, index) => [`/script-${index}.js`, text]));
  const head = Object.keys(files).map((path) => `<script src=${path}></script>`).join("");
  const site = await startSite(test, files, head);
  const stack = await startStack(test, {
    ...options, settings: { MULETEER_CORS__ALLOWED_ORIGINS: site, ...settings },
  });
  return {
    ...stack, site, key: await stack.server.createKey("anna"),

    /** The page, with this file chosen; opened again it is a reload. */
    async open(file, { person, ...more } = {}) {
      const browser = (this.browsers[person ?? ""] ??= await stack.browser(person, more));
      const page = browser.context.pages()[0] ?? (await browser.context.newPage());
      await page.goto(site);
      await page.locator("input").setInputFiles(file.path);
      return page;
    },
    browsers: {},

    /** Exactly these bytes are at this key. */
    async assertStored(key, file) {
      const object = await stack.s3.digest(stack.bucket, key);
      assert.deepEqual(object, { status: 200, size: file.size, sha256: file.sha256 }, key);
    },
  };
}
