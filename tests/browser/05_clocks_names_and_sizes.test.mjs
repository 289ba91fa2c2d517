// Point 5 of the proof: a wrong clock, URLs that expire on the way, names with everything in them, and every
// size at which the cutting into parts could be off by one.

import assert from "node:assert/strict";
import { test } from "node:test";
import { makeFile } from "./support/files.mjs";
import { MIB, startStack, STORES } from "./support/stack.mjs";

const DAY = 24 * 3600 * 1000;

for (const [words, clockOffset] of [["a day slow", -DAY], ["a day fast", DAY]]) {
  test(`the browser's clock is ${words}`, async (t) => {
    const stack = await startStack(t);
    const file = await makeFile(stack.files, "clock.bin", 20 * MIB + 5, 51);
    const browser = await stack.browser("someone", { clockOffset });
    const page = await browser.visit(stack.server.url);
    const shown = await page.page.evaluate(() => Date.now());
    assert.ok(Math.abs(shown - Date.now() - clockOffset) < 60_000, "the clock is wrong as intended");

    await page.choose(file);
    const row = await page.reach(file.name, "complete");

    await stack.assertArrived((await page.api(`/uploads/${row.id}`)).body, file);
    assert.deepEqual(stack.proxy.sentAgain, []);
    const perPart = stack.proxy.parts.length / partCount(file, MIB);
    assert.equal(perPart, 1, "no part was refused for its date");
  });

  test(`URLs expire during the upload, and the browser's clock is ${words}`, async (t) => {
    const size = 40 * MIB;
    const stack = await startStack(t, {
      proxy: { bytesPerSecond: size / 16 },
      settings: { MULETEER_S3__URL_LIFETIME_S: 5 },
    });
    const file = await makeFile(stack.files, "expiring.bin", size, 52);
    const browser = await stack.browser("someone", { clockOffset });
    const page = await browser.visit(stack.server.url);

    await page.choose(file);
    await page.sent(file.name, size / 4);
    // While paused, every URL that was fetched ahead grows too old.
    await page.press(file.name, "pause");
    await page.reach(file.name, "paused");
    await page.page.waitForTimeout(7_000);
    await page.press(file.name, "resume");
    const row = await page.reach(file.name, "complete", 120_000);

    await stack.assertArrived((await page.api(`/uploads/${row.id}`)).body, file);
    assert.deepEqual(stack.proxy.sentAgain, []);
    const signedAt = new Set(stack.proxy.parts.map((part) => part.signedAt));
    assert.ok(signedAt.size >= 3, `signed ${signedAt.size} times`);
  });
}

const NAMES = [
  "a space.bin", "a+plus.bin", "a&and.bin", "100%.bin", "%41.bin", "é.bin", "e\u0301.bin", "日本.bin", "😀.bin", "a=b;c,d.bin",
  "#hash?.bin", "'quotes' \"both\".bin", "..bin", "without an end", " all + of & 100% é 日本 .bin", `${"long".repeat(60)}.bin`,
];

for (const store of STORES) {
  test(`names with everything in them, ${store.name}`, async (t) => {
    const stack = await startStack(t, { store });
    const files = [];
    for (const [index, name] of NAMES.entries()) files.push(await makeFile(stack.files, name, 1000 + index, 530 + index));
    const browser = await stack.browser();
    const page = await browser.visit(stack.server.url);

    await page.choose(...files);

    for (const file of files) {
      const row = await page.reach(file.name, "complete");
      const { body: upload } = await page.api(`/uploads/${row.id}`);
      assert.equal(upload.filename, file.name);
      await stack.assertArrived(upload, file);
      const address = await page.row(file.name).locator(".location").textContent();
      assert.ok(new URL(address), "the row shows where the object is");
    }
  });

  const part = store.partSize;
  const sizes = {
    "nothing at all": 0,
    "one byte": 1,
    "one byte less than a part": part - 1,
    "exactly one part": part,
    "one byte more than a part": part + 1,
    "an exact multiple": 4 * part,
  };
  test(`sizes at the edges of parts, ${store.name}`, async (t) => {
    const stack = await startStack(t, { store });
    const browser = await stack.browser();
    const page = await browser.visit(stack.server.url);
    const files = [];
    for (const [name, size] of Object.entries(sizes)) files.push(await makeFile(stack.files, `${name}.bin`, size, 54));

    await page.choose(...files);

    for (const file of files) {
      const row = await page.reach(file.name, "complete");
      const { body: upload } = await page.api(`/uploads/${row.id}`);
      assert.equal(upload.part_count, partCount(file, part));
      await stack.assertArrived(upload, file);
    }
  });
}

test("more than a thousand parts, with a refresh after the thousandth", async (t) => {
  // More than one page of the store's part list, and more than one batch of signatures.
  const partSize = 16 << 10;
  const size = 1_234 * partSize + 1;
  const stack = await startStack(t, {
    store: { kind: "embedded", partSize },
    settings: { MULETEER_S3__MIN_PART_SIZE: partSize },
  });
  const file = await makeFile(stack.files, "many parts.bin", size, 55);
  const browser = await stack.browser();
  const page = await browser.visit(stack.server.url);
  await page.choose(file);
  await page.sent(file.name, 1_050 * partSize, 120_000);

  await page.page.reload();
  await page.choose(file);
  const row = await page.reach(file.name, "complete", 180_000);

  const { body: upload } = await page.api(`/uploads/${row.id}`);
  assert.equal(upload.part_count, 1_235);
  await stack.assertArrived(upload, file);
  assert.deepEqual(stack.proxy.sentAgain, []);
});

/** How many parts a file has. */
function partCount(file, partSize) {
  return Math.ceil(file.size / partSize);
}
