// Point 3 of the proof: the server is killed in the middle and started again; the page goes on by itself.

import assert from "node:assert/strict";
import { test } from "node:test";
import { makeFile } from "./support/files.mjs";
import { sleep } from "./support/processes.mjs";
import { startStack, STORES } from "./support/stack.mjs";

for (const store of STORES) {
  // With the embedded store the kill takes the store down as well, in the middle of its writes.
  test(`kill -9 and a restart, ${store.name}`, async (t) => {
    const size = 40 * store.partSize + 1;
    const stack = await startStack(t, { store, proxy: { bytesPerSecond: size / 10 } });
    const file = await makeFile(stack.files, "killed.bin", size, 31);
    const browser = await stack.browser();
    const page = await browser.visit(stack.server.url);
    await page.choose(file);

    for (const share of [0.25, 0.6]) {
      await page.sent(file.name, size * share);
      await stack.server.kill();
      await sleep(2_000);
      await stack.server.restart();
    }
    const row = await page.reach(file.name, "complete", 120_000);

    await stack.assertArrived((await page.api(`/uploads/${row.id}`)).body, file);
    assert.deepEqual(stack.proxy.sentAgain, []);
    assert.equal(new Set(stack.proxy.parts.map((part) => part.uploadId)).size, 1, "it stayed one upload");
  });
}

test("a stop in good order ends with status 0, and what was sent is still there afterwards", async (t) => {
  const store = STORES[0];
  const size = 30 * store.partSize;
  const stack = await startStack(t, { store, proxy: { bytesPerSecond: size / 8 } });
  const file = await makeFile(stack.files, "stopped.bin", size, 32);
  const browser = await stack.browser();
  const page = await browser.visit(stack.server.url);
  await page.choose(file);
  await page.sent(file.name, size / 3);

  const status = await stack.server.stop();
  await stack.server.restart();
  const row = await page.reach(file.name, "complete", 120_000);

  assert.equal(status, 0);
  await stack.assertArrived((await page.api(`/uploads/${row.id}`)).body, file);
  assert.deepEqual(stack.proxy.sentAgain, []);
});
