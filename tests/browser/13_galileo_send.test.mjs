// GalileoSend with a real Chromium: the original client as it is written down, and the kit's own, which goes on after a
// killed server and after a reload. GALILEO_BIG=1 adds a file of 1 GB, with a look at the memory of both sides.

import assert from "node:assert/strict";
import { readdir, readFile, rm } from "node:fs/promises";
import { test } from "node:test";
import { startChunkServer } from "./support/chunks.mjs";
import { makeFile } from "./support/files.mjs";

const MIB = 1 << 20;
const LOCAL = { MULETEER_STORAGE__SYNC: "true" };

/**
 * The original JavaScript client, re-enacted from its description: it has a file and an address and knows nothing else.
 * @param {{ url: string, chunksize?: number }} order
 */
async function originalClient({ url, chunksize = 250000 }) {
  const [file] = document.querySelector("input").files;
  return new Promise((resolve) => {
    const told = { ratios: 0, errors: [], readies: [], success: false };
    let pos = 0;
    let lastSent = false;
    const socket = new WebSocket(url);
    socket.onopen = () => socket.send(JSON.stringify({ name: file.name, size: file.size }));
    socket.onmessage = (message) => {
      const signal = JSON.parse(message.data);
      if (signal.close) {
        told.success = lastSent;
        told.close = signal;
        socket.close();
      } else if (signal.error) {
        told.errors.push(signal);
        if (signal.fatal) socket.close();
      } else if (signal.ready) {
        told.readies.push(signal);
        if (lastSent) return socket.send(JSON.stringify({ finished: true }));
        const end = pos + (signal.chunksize || chunksize);
        socket.send(file.slice(pos, end));
        pos = end;
        lastSent = pos >= file.size;
        told.ratios += 1;
      }
    };
    socket.onclose = () => resolve(told);
  });
}

/** @param {import("node:test").TestContext} t */
async function scene(t, size, seed) {
  const chunks = await startChunkServer(t, LOCAL);
  const file = await makeFile(chunks.files, "film é.mp4", size, seed);
  const page = await chunks.page();
  const errors = [];
  page.on("pageerror", (error) => errors.push(String(error)));
  const demo = async () => {
    await page.goto(`${chunks.server.url}/galileo/demo`);
    return page;
  };
  const socketAddress = `${chunks.server.url.replace("http", "ws")}/galileo`;
  return { chunks, file, page, errors, demo, socketAddress };
}

test("the original client sends files of every size from our own page", async (t) => {
  const { chunks, demo, errors, socketAddress } = await scene(t, 1, 120);
  const page = await demo();
  for (const [size, readies] of [[0, 2], [1, 2], [250_000, 2], [MIB, 2], [5 * MIB + 7, 7]]) {
    const file = await makeFile(chunks.files, `size ${size}.bin`, size, 121);
    // The address of the original's own example takes it as well.
    for (const url of [socketAddress, socketAddress.replace("galileo", "upload")]) {
      await page.reload();
      await page.evaluate(() => document.querySelector("input").replaceWith(Object.assign(document.createElement("input"), { type: "file" })));
      await page.locator("input").setInputFiles(file.path);
      const told = await page.evaluate(originalClient, { url });
      assert.deepEqual([told.success, told.errors, told.readies.length], [true, [], readies], JSON.stringify(told));
      await chunks.assertArrived(told.close.path, file);
    }
  }
  assert.deepEqual(errors, []);
});

test("the original client of another site gets in with a ticket, once, and without one not at all", async (t) => {
  const { chunks, file, page, socketAddress } = await scene(t, 3 * MIB, 122);
  const send = async (url) => {
    await page.goto(chunks.site);
    await page.locator("input").setInputFiles(file.path);
    return page.evaluate(originalClient, { url });
  };
  const made = await fetch(`${chunks.server.url}/galileo/ticket`, {
    method: "POST", headers: { "x-api-key": chunks.key, "content-type": "application/json" },
    body: JSON.stringify({ name: file.name, size: file.size, origin: chunks.site }),
  });
  const { url } = await made.json();

  const told = await send(url);
  assert.equal(told.success, true, JSON.stringify(told));
  await chunks.assertArrived(told.close.path, file);
  assert.equal((await send(url)).success, false);
  assert.ok(!chunks.server.log.includes(new URL(url).searchParams.get("ticket")));
  // A site that is not listed: 127.0.0.1 by its port alone is none of ours.
  await page.goto(chunks.site.replace("localhost", "127.0.0.1"));
  await page.locator("input").setInputFiles(file.path);
  assert.equal((await page.evaluate(originalClient, { url: socketAddress })).success, false);
});

test("the demo page sends a file, pauses, and goes on after a reload and a killed server", async (t) => {
  const { chunks, file, demo, errors } = await scene(t, 160 * MIB, 123);
  const page = await demo();
  const stored = () => page.locator("progress").evaluate((bar) => bar.value);
  const state = () => page.locator("main").evaluate((main) => main.dataset.state);
  const until = async (what, question) => {
    for (const end = Date.now() + 60_000; Date.now() < end; ) {
      if (await question()) return;
      await new Promise((resolve) => setTimeout(resolve, 10));
    }
    throw new Error(`in vain: ${what}; ${await state()} at ${await stored()}`);
  };

  await page.locator("#file").setInputFiles(file.path);
  await until("some of it", async () => (await stored()) > 0.05);
  await page.locator("#pause").click();
  const paused = await stored();
  assert.ok(paused < 1, "there was a middle to pause in");
  assert.equal(await state(), "paused");

  await page.reload();
  await page.locator("#file").setInputFiles(file.path);
  await until("more of it", async () => (await stored()) >= paused);
  await chunks.server.kill();
  await chunks.server.restart();
  await until("the end", async () => (await state()) === "complete");

  const names = (await chunks.filesStored()).filter((name) => name.endsWith(file.name));
  assert.equal(names.length, 1, "one object, however often it was interrupted");
  await chunks.assertArrived(`${chunks.stored}/files/${names[0]}`, file);
  assert.deepEqual(errors, []);
});

test("given up on the page, nothing of it stays", async (t) => {
  const { chunks, file, demo } = await scene(t, 160 * MIB, 124);
  const page = await demo();
  await page.locator("#file").setInputFiles(file.path);
  await page.waitForFunction(() => document.querySelector("progress").value > 0.05, undefined, { polling: 10 });
  await page.locator("#abort").click();
  await page.waitForFunction(() => document.querySelector("main").dataset.state === "aborted");
  assert.ok(!(await chunks.filesStored()).some((name) => name.includes("film") || name === "data"), "all is gone");
});

/** Most bytes that a process has had in memory, and all processes whose command line holds `mark` have now. */
async function peakOf(pid) {
  const status = await readFile(`/proc/${pid}/status`, "utf8");
  return Number(/VmHWM:\s+(\d+)/.exec(status)[1]) / 1024;
}
async function residentOf(mark) {
  let sum = 0;
  for (const pid of (await readdir("/proc")).filter((name) => /^\d+$/.test(name))) {
    try {
      if (!(await readFile(`/proc/${pid}/cmdline`, "utf8")).includes(mark)) continue;
      const status = await readFile(`/proc/${pid}/status`, "utf8");
      sum += Number(/RssAnon:\s+(\d+)/.exec(status)?.[1] ?? 0) / 1024;
    } catch {
      // It has ended meanwhile.
    }
  }
  return sum;
}

test("1 GB arrives with flat memory on both sides", { skip: !process.env.GALILEO_BIG && "GALILEO_BIG is not set" }, async (t) => {
  const { chunks, file, demo, socketAddress } = await scene(t, 1000 * MIB, 125);
  const mark = chunks.files.replace(/files$/, "profile");
  for (const kind of ["kit", "original"]) {
    const page = await demo();
    if (kind === "original") {
      await page.evaluate(() => document.querySelector("input").replaceWith(Object.assign(document.createElement("input"), { type: "file", id: "other" })));
    }
    const [server, browser] = [await peakOf(chunks.server.process.pid), await residentOf(mark)];
    let most = 0;
    const watch = setInterval(async () => (most = Math.max(most, await residentOf(mark))), 250);
    const began = Date.now();
    if (kind === "kit") {
      await page.locator("input").setInputFiles(file.path);
      await page.waitForFunction(() => document.querySelector("main").dataset.state === "complete", undefined, { timeout: 300_000 });
    } else {
      await page.locator("input").setInputFiles(file.path);
      assert.equal((await page.evaluate(originalClient, { url: socketAddress })).success, true);
    }
    const seconds = (Date.now() - began) / 1000;
    clearInterval(watch);
    const peak = await peakOf(chunks.server.process.pid);
    t.diagnostic(`${kind}: ${(file.size / 1e6 / seconds).toFixed(0)} MB/s; server ${server.toFixed(0)} → ${peak.toFixed(0)} MiB, `
      + `browser ${browser.toFixed(0)} → ${most.toFixed(0)} MiB`);
    assert.ok(peak - server < 100, `the server grew by ${peak - server} MiB`);
    assert.ok(most - browser < 300, `the browser grew by ${most - browser} MiB`);
    const [name] = (await chunks.filesStored()).filter((name) => name.endsWith(file.name));
    await chunks.assertArrived(`${chunks.stored}/files/${name}`, file);
    await rm(`${chunks.stored}/files/${name}`);
  }
});
