// Our drop-in for mule-uploader's script: old pages with another address in their script tag, one of them as
// docs/front-ends/mule-uploader.md prints it, on another site than the server; and our own demo.

import assert from "node:assert/strict";
import { readFile } from "node:fs/promises";
import { test } from "node:test";
import { makeFile } from "./support/files.mjs";
import { until } from "./support/processes.mjs";
import { startSite } from "./support/site.mjs";
import { MIB, startStack } from "./support/stack.mjs";

const PARTS = 6;
const SIZE = (PARTS - 1) * MIB + 333;

/**
 * Runs in an old page: everything that the script tells is written down as it comes.
 * @param {object} settings
 */
function asAnOldPage(settings) {
  const names = ["init", "select", "start", "progress", "chunk_uploaded", "chunk_progress", "complete", "error"];
  const scene = (globalThis.scene = { told: [], strangers: 0 });
  for (const name of names.map((one) => `on_${one}`)) {
    settings[name] = function (...news) {
      if (scene.uploader && this !== scene.uploader) scene.strangers += 1;
      scene.told.push([name, ...news.map((one) => one?.code ?? one?.name ?? one)]);
    };
  }
  const input = document.querySelector("input");
  // The first pages of all gave the input before the settings.
  scene.uploader = settings.input_first
    ? globalThis.mule_upload(input, settings)
    : globalThis.mule_upload({ ...settings, file_input: input });
  scene.settings = scene.uploader.settings;
}

/** What the page was told under one name. */
const toldOf = (page, name) =>
  page.evaluate((wanted) => globalThis.scene.told.filter(([one]) => one === wanted).map(([, ...news]) => news), name);

const isTold = (page, name) => async () => (await toldOf(page, name)).length > 0;

/** Server, store and one browser for all pages of this file. */
async function startScene(t, proxy = {}) {
  const pages = {};
  const site = await startSite(t, pages);
  const stack = await startStack(t, { proxy, settings: { MULETEER_CORS__ALLOWED_ORIGINS: site } });
  pages["/old.html"] = `<!doctype html><title>old</title><input type=file>
    <script src="${stack.server.url}/static/mule-uploader.js"></script>`;
  const key = await stack.server.createKey("anna");
  const browser = await stack.browser();
  const page = browser.context.pages()[0] ?? (await browser.context.newPage());
  const errors = [];
  page.on("pageerror", (error) => errors.push(String(error)));
  return {
    ...stack, site, pages, page, key, errors,
    async oldPage(settings = {}) {
      await page.goto(`${site}/old.html`);
      await page.evaluate(asAnOldPage, { extra_params: { api_key: key }, chunk_size: MIB, ...settings });
    },
    choose: (file) => page.locator("input").setInputFiles(file.path),
    async assertStored(object, file) {
      const found = await stack.s3.digest(stack.bucket, object);
      assert.deepEqual(found, { status: 200, size: file.size, sha256: file.sha256 }, object);
    },
  };
}

const LIMIT = { timeout: 60_000 };

test("an old page of another site: a failing store, a reload after two parts, and none is sent again", LIMIT, async (t) => {
  const faults = new Map([[1, ["503"]], [2, ["reset-in-body"]], [3, ["503-without-cors"]]]);
  const proxy = { bytesPerSecond: 3 * MIB, fault: ({ number }) => faults.get(number)?.shift() ?? "pass" };
  const scene = await startScene(t, proxy);
  const { page } = scene;
  const file = await makeFile(scene.files, "Straße 日本 + 100%.mp4", SIZE, 1701);
  await scene.oldPage({ num_workers: 2, key: "proposed/by/the/page", content_type: "video/mp4" });
  assert.deepEqual(await toldOf(page, "on_init"), [[]], "before mule_upload returned");
  await scene.choose(file);
  const uploaded = async () => (await toldOf(page, "on_chunk_uploaded")).flat();
  await until("two parts", async () => scene.proxy.acknowledged.length >= 2 && (await uploaded()).length >= 2);
  const before = await uploaded();

  await scene.oldPage({ num_workers: 2, content_type: "video/mp4" });
  await scene.choose(file);
  await until("the end", isTold(page, "on_complete"));

  assert.deepEqual(await toldOf(page, "on_error"), []);
  assert.deepEqual(scene.proxy.sentAgain, [], "nothing that was acknowledged");
  assert.equal(new Set(scene.proxy.parts.map((part) => part.uploadId)).size, 1, "one upload");
  assert.deepEqual([...faults.values()].flat(), [], "every fault took place");
  const after = await uploaded();
  assert.ok(after.every((chunk) => !before.includes(chunk)), `${before} and then ${after}`);
  // A part may have been stored in the very moment of the reload.
  assert.ok(before.length + after.length <= PARTS && after.every((chunk) => chunk >= 0 && chunk < PARTS), `${after}`);
  const { told, strangers, key, chunk } = await page.evaluate(() => ({
    told: globalThis.scene.told.filter(([name]) => name !== "on_chunk_progress"), strangers: globalThis.scene.strangers,
    key: globalThis.scene.settings.key, chunk: globalThis.scene.settings.chunk_size,
  }));
  const beginning = [["on_init"], ["on_select", file.name], ["on_start", file.name], ["on_progress", 0, SIZE]];
  assert.deepEqual(told.slice(0, 4), beginning);
  assert.deepEqual(told.slice(-2), [["on_progress", SIZE, SIZE], ["on_complete", file.name]]);
  const figures = told.filter(([name]) => name === "on_progress").slice(1);
  assert.ok(figures.every(([, sent, total]) => sent >= 2 * MIB && sent <= SIZE && total === SIZE), JSON.stringify(figures));
  assert.equal(strangers, 0, "`this` is what mule_upload returned");
  assert.equal(chunk, MIB);
  assert.notEqual(key, "proposed/by/the/page");
  await scene.assertStored(key, file);
  assert.equal((await fetch(`${scene.proxy.url}/${scene.bucket}/${key}`)).status, 403, "the object is private");
  assert.deepEqual(scene.errors, []);
});

test("the page of the guide, the demo, and what else old pages do", LIMIT, async (t) => {
  const scene = await startScene(t);
  const { page, pages, site, server } = scene;

  await t.test("the page as the guide prints it", async () => {
    const guide = await readFile(new URL("../../docs/front-ends/mule-uploader.md", import.meta.url), "utf8");
    const [printed] = /^```html\n([^]*?)^```$/m.exec(guide).slice(1);
    pages["/guide.html"] = printed.replace("https://uploads.example", server.url).replace("mule_…", scene.key);
    // A whole number of chunks, with which the old script could never finish.
    const file = await makeFile(scene.files, "guide.bin", 12 * MIB, 1702);
    await page.goto(`${site}/guide.html`);
    await scene.choose(file);
    const news = page.locator("#news");
    await until("news", async () => (await news.textContent()) !== "");
    const [, key] = /^Stored as (.+)$/.exec(await news.textContent());
    await scene.assertStored(key, file);
    assert.equal(await page.locator("#bar").evaluate((bar) => bar.value), 1);
  });

  await t.test("nothing of a page is changed but its script tag", async () => {
    pages["/tag.html"] = pages["/old.html"].replace("<script ", `<script data-api-key="${scene.key}" `);
    const file = await makeFile(scene.files, "empty.bin", 0, 1703);
    await page.goto(`${site}/tag.html`);
    const old = { ajax_base: "/upload-backend", bucket: "b", access_key: "AKID", host: "http://b.example" };
    await page.evaluate(asAnOldPage, old);
    await scene.choose(file);
    await until("the end", isTold(page, "on_complete"));
    await scene.assertStored(await page.evaluate(() => globalThis.scene.settings.key), file);
  });

  await t.test("a page that starts by itself, too large a file, and a file begun anew", async () => {
    const file = await makeFile(scene.files, "by hand.bin", 2 * MIB, 1704);
    await scene.oldPage({ autostart: false, input_first: true, max_size: MIB });
    await scene.choose(file);
    await page.evaluate(() => globalThis.scene.uploader.upload_file(globalThis.scene.uploader.file));
    await until("a refusal", isTold(page, "on_error"));
    assert.deepEqual(await toldOf(page, "on_error"), [["too-large"]]);
    assert.equal(await page.evaluate(() => globalThis.scene.uploader.get_state()), "failed");

    await page.evaluate(() => {
      const { uploader, settings } = globalThis.scene;
      settings.max_size = 1e9;
      uploader.upload_file(uploader.file, true);
      uploader.upload_file(uploader.file);
    });
    await until("the end", isTold(page, "on_complete"));
    assert.equal((await toldOf(page, "on_select")).length, 2, "the second call found it on its way");
    const figures = await page.evaluate(() => {
      const { uploader } = globalThis.scene;
      return [uploader.get_state(), uploader.get_total_progress()];
    });
    assert.deepEqual(figures, ["finished", file.size]);
    const told = await toldOf(page, "on_chunk_progress");
    assert.ok(told.some(([chunk, bytes, size]) => chunk === 1 && bytes === MIB && size === MIB), JSON.stringify(told));
  });

  await t.test("a stranger is told that a key is wanted", async () => {
    const file = await makeFile(scene.files, "stranger.bin", 1, 1705);
    await scene.oldPage({ extra_params: {} });
    await scene.choose(file);
    await until("a refusal", isTold(page, "on_error"));
    assert.deepEqual(await toldOf(page, "on_error"), [["forbidden"]]);
    assert.deepEqual(await toldOf(page, "on_start"), []);
  });

  await t.test("the demo", async () => {
    const file = await makeFile(scene.files, "demo.bin", 5 * MIB + 5, 1706);
    await page.goto(`${server.url}/mule/demo`);
    await scene.choose(file);
    const last = page.locator("#log li").last();
    await until("the end", async () => (await last.textContent()).startsWith("on_complete: "));
    await scene.assertStored((await last.textContent()).replace("on_complete: ", ""), file);
  });

  assert.deepEqual(scene.errors, []);
});
