// Point 1 of the proof: 300 MB through the page; the object equals the file, four parts at once and no more, and
// none of the bytes went through our server.

import assert from "node:assert/strict";
import { test } from "node:test";
import { CountingPipe } from "./support/counting_pipe.mjs";
import { makeFile } from "./support/files.mjs";
import { MIB, startStack, STORES } from "./support/stack.mjs";

const SIZE = 300_000_000;
// The page with its scripts, and an answer for each part: far less than even one part of the file.
const TALK = 4 * MIB;

for (const store of STORES) {
  test(`300 MB arrive byte for byte in ${store.name}, past our server`, async (t) => {
    const stack = await startStack(t, { store: { ...store, partSize: 6 * MIB }, serverProxy: {} });
    const file = await makeFile(stack.files, "three hundred.bin", SIZE, 11);
    const pipe = await CountingPipe.start(stack.server.url);
    t.after(() => pipe.stop());
    const browser = await stack.browser();
    const page = await browser.visit(pipe.url);

    await page.choose(file);
    const row = await page.reach(file.name, "complete", 240_000);

    const { body: upload } = await page.api(`/uploads/${row.id}`);
    await stack.assertArrived(upload, file);
    assert.equal(upload.part_size, 6 * MIB);
    assert.equal(stack.proxy.acknowledged.length, Math.ceil(SIZE / upload.part_size));
    assert.equal(stack.proxy.mostAtOnce, 4, "part requests at once");
    assert.ok(pipe.sent < TALK, `the browser sent ${pipe.sent} bytes to our server`);
    assert.ok(pipe.received < TALK, `our server sent ${pipe.received} bytes to the browser`);
    assert.deepEqual(stack.serverProxy?.parts ?? [], [], "our server sent parts to the store");
    assert.deepEqual(page.errors, []);
  });
}

test("the number of workers can be chosen, and is kept to", async (t) => {
  const stack = await startStack(t, { proxy: { latency: 20 } });
  const file = await makeFile(stack.files, "two workers.bin", 24 * MIB, 12);
  const browser = await stack.browser();
  const page = await browser.visit(stack.server.url);

  await page.page.locator("input#workers").fill("2");
  await page.page.locator("input#workers").blur();
  await page.choose(file);
  const row = await page.reach(file.name, "complete");

  assert.equal(stack.proxy.mostAtOnce, 2);
  await stack.assertArrived((await page.api(`/uploads/${row.id}`)).body, file);
});
