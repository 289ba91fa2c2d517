// Point 2 of the proof: whatever happens to the page, no part that was acknowledged is sent again.

import assert from "node:assert/strict";
import { test } from "node:test";
import { makeFile } from "./support/files.mjs";
import { sleep } from "./support/processes.mjs";
import { seeded } from "./support/random.mjs";
import { MIB, startStack, STORES } from "./support/stack.mjs";

/** Slow enough that the whole file takes about 12 s: there is a middle to disturb, wherever the moments fall. */
const slowly = (size) => ({ bytesPerSecond: size / 12 });
const sizeFor = (store) => 40 * store.partSize + 12_345;

for (const store of STORES) {
  test(`ten refreshes at random moments, ${store.name}`, async (t) => {
    const size = 2 * sizeFor(store);
    const stack = await startStack(t, { store, proxy: slowly(size) });
    const file = await makeFile(stack.files, "refreshed.bin", size, 21);
    const random = seeded(2100);
    const browser = await stack.browser();
    const page = await browser.visit(stack.server.url);
    let fruitful = 0;

    for (let refresh = 0; refresh < 10; refresh++) {
      await page.choose(file);
      const row = await page.reach(file.name, ["uploading", "completing", "complete"]);
      assert.notEqual(row.state, "complete", `complete after ${refresh} refreshes already: the test is too slow`);
      const before = stack.proxy.acknowledged.length;
      await sleep(random.between(100, 1500));
      fruitful += stack.proxy.acknowledged.length > before;
      await page.page.reload();
      await page.unfinished(file.name).waitFor();
    }
    await page.choose(file);
    const row = await page.reach(file.name, "complete", 120_000);

    const { body: upload } = await page.api(`/uploads/${row.id}`);
    await stack.assertArrived(upload, file);
    assert.ok(fruitful >= 3, `parts arrived before ${fruitful} of the refreshes: what is proved is too little`);
    assert.deepEqual(stack.proxy.sentAgain, []);
    assert.equal(new Set(stack.proxy.parts.map((part) => part.uploadId)).size, 1, "it stayed one upload");
    assert.deepEqual(await stack.s3.unfinished(stack.bucket), []);
  });

  test(`the browser is closed and opened again, ${store.name}`, async (t) => {
    const size = sizeFor(store);
    const stack = await startStack(t, { store, proxy: slowly(size) });
    const file = await makeFile(stack.files, "closed.bin", size, 22);
    const first = await stack.browser("same person");
    const before = await first.visit(stack.server.url);
    await before.choose(file);
    await before.sent(file.name, size / 3);
    await first.close();

    const again = await stack.browser("same person");
    const page = await again.visit(stack.server.url);
    await page.unfinished(file.name).waitFor();
    await page.choose(file);
    const row = await page.reach(file.name, "complete", 120_000);

    await stack.assertArrived((await page.api(`/uploads/${row.id}`)).body, file);
    assert.deepEqual(stack.proxy.sentAgain, []);
    assert.equal(new Set(stack.proxy.parts.map((part) => part.uploadId)).size, 1, "it stayed one upload");
  });

  test(`a second browser under the same key's owner goes on, ${store.name}`, async (t) => {
    const size = sizeFor(store);
    const stack = await startStack(t, { store, proxy: slowly(size), settings: { MULETEER_AUTH__ANONYMOUS: "off" } });
    const file = await makeFile(stack.files, "two browsers.bin", size, 23);
    const key = await stack.server.createKey("alice");
    const otherKey = await stack.server.createKey("alice");
    const first = await stack.browser("at home");
    const atHome = await first.visit(stack.server.url);
    await atHome.useKey(key);
    await atHome.choose(file);
    await atHome.sent(file.name, size / 3);
    await first.close();

    const second = await stack.browser("at work");
    const atWork = await second.visit(stack.server.url);
    await atWork.useKey(otherKey);
    await atWork.choose(file);
    const row = await atWork.reach(file.name, "complete", 120_000);

    const { body: upload } = await stack.api(`/uploads/${row.id}`, { key });
    await stack.assertArrived(upload, file);
    assert.deepEqual(stack.proxy.sentAgain, []);
    assert.equal(new Set(stack.proxy.parts.map((part) => part.uploadId)).size, 1, "it stayed one upload");
  });
}

test("another visitor's file of the same name and content is an upload of its own", async (t) => {
  const size = 20 * MIB;
  const stack = await startStack(t, { proxy: slowly(size) });
  const file = await makeFile(stack.files, "mine.bin", size, 24);
  const [one, other] = [await stack.browser("one"), await stack.browser("other")];
  const [mine, theirs] = [await one.visit(stack.server.url), await other.visit(stack.server.url)];

  await mine.choose(file);
  await mine.sent(file.name, size / 4);
  await theirs.choose(file);
  const [myRow, theirRow] = await Promise.all([
    mine.reach(file.name, "complete", 120_000), theirs.reach(file.name, "complete", 120_000),
  ]);

  assert.notEqual(myRow.id, theirRow.id);
  for (const [page, row] of [[mine, myRow], [theirs, theirRow]]) {
    await stack.assertArrived((await page.api(`/uploads/${row.id}`)).body, file);
  }
  assert.equal((await theirs.api(`/uploads/${myRow.id}`)).status, 404);
});
