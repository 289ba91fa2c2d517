// A browser that cannot reach the store, as behind a strict firewall: its parts go through our server into the same
// upload, the page says so, and once the store can be reached they go straight again.

import assert from "node:assert/strict";
import { test } from "node:test";
import { makeFile } from "./support/files.mjs";
import { until } from "./support/processes.mjs";
import { startStack, STORES } from "./support/stack.mjs";
import { StoreProxy } from "./support/store_proxy.mjs";

/** Looks through the page's eyes: which parts our server has acknowledged, and what is spoken. */
async function observe(page) {
  const relayed = [];
  const spoken = [];
  page.page.on("response", (answer) => {
    const part = /\/parts\/(\d+)\/content$/.exec(new URL(answer.url()).pathname);
    if (part && answer.status() === 200) relayed.push(Number(part[1]));
  });
  await page.page.exposeFunction("overheard", (words) => spoken.push(words));
  await page.page.evaluate(() => {
    const region = document.querySelector("#announcer");
    new MutationObserver(() => globalThis.overheard(region.textContent)).observe(region, { childList: true });
  });
  return { relayed, spoken };
}

/** Each part was acknowledged once, by one way or the other. */
function assertOnce(stack, relayed, count) {
  const straight = stack.proxy.acknowledged.map((part) => part.number);
  const all = [...straight, ...relayed].sort((a, b) => a - b);
  assert.deepEqual(all, Array.from({ length: count }, (_, index) => index + 1));
}

/** Waits until the row says that its bytes take this way. */
function goes(page, file, route) {
  return until(`${file.name} by ${route}`, async () => {
    const row = await page.status(file.name);
    assert.ok(!["failed", "complete"].includes(row.state), `${row.state} ${row.error}`);
    return (await page.row(file.name).getAttribute("data-route")) === route;
  }, 90_000);
}

for (const store of STORES) {
  test(`a store that was never reached is not needed, ${store.name}`, async (t) => {
    const stack = await startStack(t, { store });
    const file = await makeFile(stack.files, "behind a firewall.bin", 20 * store.partSize + 99, 91);
    const browser = await stack.browser();
    const page = await browser.visit(stack.server.url);
    const { relayed } = await observe(page);
    stack.proxy.cut();

    await page.choose(file);
    const row = await page.reach(file.name, "complete", 120_000);

    await stack.assertArrived((await page.api(`/uploads/${row.id}`)).body, file);
    assert.ok(stack.proxy.refusals > 0, "the straight way was tried first");
    assert.deepEqual(stack.proxy.acknowledged, []);
    assertOnce(stack, relayed, 21);
    assert.deepEqual(page.errors, []);
  });

  test(`a store that is cut off for a while is bypassed meanwhile, ${store.name}`, async (t) => {
    const parts = 60;
    const size = (parts - 1) * store.partSize + 12_345;
    const rate = size / 40;
    const stack = await startStack(t, { store, proxy: { bytesPerSecond: rate } });
    const file = await makeFile(stack.files, "cut off.bin", size, 92);
    // Both ways are slow, so that the first probe (after 15 s) still finds parts to send.
    const front = await StoreProxy.start(stack.server.url, { bytesPerSecond: rate });
    t.after(() => front.stop());
    const browser = await stack.browser();
    const page = await browser.visit(front.url);
    const { relayed, spoken } = await observe(page);
    const label = page.row(file.name).locator(".detour");

    await page.choose(file);
    await page.sent(file.name, size / 10);
    assert.equal(await label.isVisible(), false, "nothing is said of the usual way");
    assert.deepEqual(relayed, []);
    stack.proxy.cut();
    await goes(page, file, "relay");
    assert.match(await label.innerText(), /through the server/);
    assert.match(await label.getAttribute("title"), /cannot be reached/);
    const before = (await page.status(file.name)).sent;
    await page.sent(file.name, before + 3 * store.partSize);
    assert.ok(relayed.length >= 3, `${relayed.length} parts through the server`);

    stack.proxy.mend();
    await goes(page, file, "direct");
    assert.equal(await label.isVisible(), false);
    const straight = stack.proxy.acknowledged.length;
    const row = await page.reach(file.name, "complete", 120_000);

    await stack.assertArrived((await page.api(`/uploads/${row.id}`)).body, file);
    assert.ok(stack.proxy.acknowledged.length > straight, "the rest went straight");
    assertOnce(stack, relayed, parts);
    assert.deepEqual(stack.proxy.sentAgain, []);
    assert.equal(new Set(stack.proxy.parts.map((part) => part.uploadId)).size, 1, "it stayed one upload");
    const words = spoken.join("\n");
    assert.match(words, /go through the server[^]*straight/);
    assert.equal(words.match(/through the server/g).length, 1, "spoken once");
    assert.deepEqual(page.errors, []);
  });
}
