// Point 4 of the proof: the store says 503 and connections break at random; the upload still ends right.

import assert from "node:assert/strict";
import { test } from "node:test";
import { makeFile } from "./support/files.mjs";
import { seeded } from "./support/random.mjs";
import { MIB, startStack, STORES } from "./support/stack.mjs";
import { FAULTS } from "./support/store_proxy.mjs";

/** Every fifth part fails, each time in another way. */
function atRandom(seed) {
  const random = seeded(seed);
  return () => (random.chance(0.2) ? random.pick(FAULTS) : "pass");
}

for (const store of STORES) {
  test(`parts fail in every way at random, ${store.name}`, async (t) => {
    const size = 60 * store.partSize + 777;
    const stack = await startStack(t, { store, proxy: { fault: atRandom(41) } });
    const file = await makeFile(stack.files, "troubled.bin", size, 41);
    const browser = await stack.browser();
    const page = await browser.visit(stack.server.url);

    await page.choose(file);
    const row = await page.reach(file.name, "complete", 180_000);

    await stack.assertArrived((await page.api(`/uploads/${row.id}`)).body, file);
    const seen = new Set(stack.proxy.parts.map((part) => part.fault));
    assert.deepEqual([...FAULTS].filter((fault) => !seen.has(fault)), [], "every kind of fault took place");
    assert.deepEqual(stack.proxy.sentAgain, []);
    assert.ok(stack.proxy.mostAtOnce <= 4, `${stack.proxy.mostAtOnce} part requests at once`);
  });

  test(`a file of one part whose first four tries fail, ${store.name}`, async (t) => {
    const faults = [...FAULTS];
    const stack = await startStack(t, { store, proxy: { fault: () => faults.shift() ?? "pass" } });
    const file = await makeFile(stack.files, "one part.bin", store.partSize, 42);
    const browser = await stack.browser();
    const page = await browser.visit(stack.server.url);

    await page.choose(file);
    const row = await page.reach(file.name, "complete", 120_000);

    await stack.assertArrived((await page.api(`/uploads/${row.id}`)).body, file);
    assert.deepEqual(faults, []);
  });
}

for (const store of STORES.filter(({ kind }) => kind === "outside")) {
  test("our own requests to the store fail, too", async (t) => {
    const random = seeded(43);
    const failing = () => (random.chance(0.3) ? random.pick(["503", "reset-in-body", "lost-answer"]) : "pass");
    const size = 10 * store.partSize + 1;
    const stack = await startStack(t, { store, proxy: { fault: atRandom(44) }, serverProxy: { otherFault: failing } });
    const browser = await stack.browser();
    const page = await browser.visit(stack.server.url);
    const files = [];
    for (let number = 0; number < 4; number++) {
      files.push(await makeFile(stack.files, `troubled ${number}.bin`, size, 440 + number));
    }

    await page.choose(...files);

    for (const file of files) {
      const row = await page.reach(file.name, "complete", 180_000);
      await stack.assertArrived((await page.api(`/uploads/${row.id}`)).body, file);
    }
  });
}

test("the browser is offline for a while", async (t) => {
  const size = 30 * MIB;
  const stack = await startStack(t, { proxy: { bytesPerSecond: size / 6 } });
  const file = await makeFile(stack.files, "offline.bin", size, 45);
  const browser = await stack.browser();
  const page = await browser.visit(stack.server.url);
  await page.choose(file);
  await page.sent(file.name, size / 4);

  await browser.context.setOffline(true);
  await page.reach(file.name, "offline", 20_000);
  const requests = stack.proxy.parts.length;
  await page.page.waitForTimeout(3_000);
  assert.equal(stack.proxy.parts.length, requests, "nothing is tried while offline");
  await browser.context.setOffline(false);
  const row = await page.reach(file.name, "complete", 60_000);

  await stack.assertArrived((await page.api(`/uploads/${row.id}`)).body, file);
  assert.deepEqual(stack.proxy.sentAgain, []);
});
