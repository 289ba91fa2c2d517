// The JavaScript that docs/tus.md prints, run as it stands there: what belongs into a page by Chromium, bundled as any
// application is, and what belongs into Node by Node.

import assert from "node:assert/strict";
import { readFile, rm, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { test } from "node:test";
import { fileURLToPath, pathToFileURL } from "node:url";
import { build } from "esbuild";
import { CuttingPipe } from "./support/cutting_pipe.mjs";
import { makeFile } from "./support/files.mjs";
import { until } from "./support/processes.mjs";
import { MIB } from "./support/stack.mjs";
import { inKey, startTus } from "./support/tus.mjs";

const HERE = fileURLToPath(new URL(".", import.meta.url));
const SIZE = 5 * MIB + 77;

/** The JavaScript block of the guide that exports this function. */
async function printed(name) {
  const guide = await readFile(join(HERE, "../../docs/tus.md"), "utf8");
  const blocks = [...guide.matchAll(/^```js\n([^]*?)^```$/gm)].map((match) => match[1]);
  const found = blocks.filter((block) => block.includes(`export function ${name}(`));
  assert.equal(found.length, 1, `one block with ${name}`);
  return found[0];
}

/** A block as a script for a page, which then finds its exports in `guide`. */
async function bundled(name) {
  const { outputFiles } = await build({
    stdin: { contents: await printed(name), resolveDir: HERE },
    bundle: true, write: false, format: "iife", globalName: "guide", platform: "browser", logLevel: "error",
  });
  return outputFiles[0].text;
}

/** Runs in the page: `send`, as the guide prints it. */
async function sendInPage({ endpoint, key }) {
  const progress = [];
  const [file] = document.querySelector("input").files;
  const url = await globalThis.guide.send(file, { endpoint, key, onProgress: (sent) => progress.push(sent) });
  return { url, progress, remembered: localStorage.length };
}

test("tus-js-client in a page: sends a file, and after a reload what is missing", { timeout: 60_000 }, async (t) => {
  const scene = await startTus(t, { script: await bundled("send") });
  const file = await makeFile(scene.files, "Straße 漢.mp4", 6 * SIZE, 1301);
  const pipe = await CuttingPipe.start(scene.server.url, { bytesPerSecond: 8 * MIB });
  t.after(() => pipe.stop());
  const page = await scene.page();
  const order = { endpoint: `${pipe.url}/files`, key: scene.key };
  await page.locator("input").setInputFiles(file.path);
  await page.evaluate((first) => {
    const [chosen] = document.querySelector("input").files;
    globalThis.guide.send(chosen, first).catch(() => {});
  }, order);
  await until("a part of the file", () => pipe.sent > 4 * MIB);

  await page.reload();
  const sent = pipe.sent;
  await page.locator("input").setInputFiles(file.path);
  const { url, progress, remembered } = await page.evaluate(sendInPage, order);

  assert.ok(progress[0] >= sent - 2 * MIB, `went on at ${progress[0]}, ${sent} bytes had been sent`);
  assert.equal(progress.at(-1), file.size);
  assert.equal(remembered, 0);
  assert.ok(url.startsWith(`${pipe.url}/files/`), url);
  await scene.assertArrived(file);
});

test("tus-js-client in Node: sends a file", { timeout: 60_000 }, async (t) => {
  const scene = await startTus(t);
  // Beside the packages, so that they are found.
  const module = join(HERE, `.guide-${process.pid}.mjs`);
  t.after(() => rm(module, { force: true }));
  await writeFile(module, await printed("sendFile"));
  const { sendFile } = await import(pathToFileURL(module));
  const file = await makeFile(scene.files, "film.mp4", SIZE, 1302);

  const url = await sendFile(file.path, {
    endpoint: `${scene.server.url}/files`, key: scene.key, memory: join(scene.folder, "memory"),
  });

  assert.ok(url.startsWith(`${scene.server.url}/files/`), url);
  await scene.assertArrived(file);
});

/** Runs in the page: Uppy as the guide makes it, given the chosen files. */
async function uppyInPage({ endpoint, key }) {
  const uppy = globalThis.guide.uppyFor({ endpoint, key });
  for (const data of document.querySelector("input").files) uppy.addFile({ name: data.name, type: data.type, data });
  const { successful, failed } = await uppy.upload();
  return { urls: successful.map((file) => file.uploadURL), errors: failed.map((file) => file.error) };
}

test("Uppy: sends several files at once", { timeout: 60_000 }, async (t) => {
  const scene = await startTus(t, { script: await bundled("uppyFor") });
  const page = await scene.page();
  const names = ["één.bin", "two.txt", "three.png", "four"];
  const files = await Promise.all(names.map((name, index) => makeFile(scene.files, name, SIZE + index, 1303 + index)));
  await page.locator("input").evaluate((input) => (input.multiple = true));
  await page.locator("input").setInputFiles(files.map((file) => file.path));

  const { urls, errors } = await page.evaluate(uppyInPage, { endpoint: `${scene.server.url}/files`, key: scene.key });

  assert.deepEqual(errors, []);
  assert.equal(new Set(urls).size, files.length);
  const arrived = (await scene.arrivals()).map(({ name, size, sha256 }) => ({ name, size, sha256 }));
  const byName = (a, b) => (a.name < b.name ? -1 : 1);
  assert.deepEqual(arrived.sort(byName), files.map(({ name, size, sha256 }) => ({ name: inKey(name), size, sha256 })).sort(byName));
});
