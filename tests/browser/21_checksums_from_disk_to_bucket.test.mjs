// The checksum of each part is made in a worker, sent with it, and verified by the store; what was changed on its way is
// sent again; where the bucket's CORS rules allow no such header, the upload goes on without; and the receipt is the file's.

import assert from "node:assert/strict";
import { execFile } from "node:child_process";
import { readFile, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { test } from "node:test";
import { promisify } from "node:util";
import { makeFile } from "./support/files.mjs";
import { program } from "./support/server.mjs";
import { startStack, STORES } from "./support/stack.mjs";

/** Nothing of our own environment, as with the server. */
const run = (...words) => promisify(execFile)(...words, { env: { PATH: process.env.PATH } });

for (const store of STORES) {
  const header = store.kind === "embedded" ? "x-amz-checksum-crc64nvme" : "content-md5";

  test(`parts carry a checksum that a worker made and the store verifies, ${store.name}`, async (t) => {
    let flips = 2;
    const stack = await startStack(t, {
      store, proxy: { fault: ({ number }) => (number === 2 && (flips -= 1) >= 0 ? "flipped" : "pass") },
    });
    const file = await makeFile(stack.files, "a film.bin", 4 * store.partSize + 77, 211);
    const browser = await stack.browser();
    const page = await browser.visit(stack.server.url);

    await page.choose(file);
    const row = await page.reach(file.name, "complete", 120_000);

    await stack.assertArrived((await page.api(`/uploads/${row.id}`)).body, file);
    const workers = page.page.workers().map((worker) => new URL(worker.url()).pathname);
    assert.deepEqual(workers, ["/static/sdk/checksums/worker.js"]);
    for (const part of stack.proxy.parts) assert.deepEqual(Object.keys(part.checksums), [header]);
    const second = stack.proxy.parts.filter(({ number }) => number === 2);
    assert.deepEqual(second.map(({ status }) => status), [400, 400, 200], "the store saw what the line had done");
    assert.deepEqual(page.errors, []);

    const download = page.page.waitForEvent("download");
    await page.press(file.name, "receipt");
    const saved = await download;
    assert.equal(saved.suggestedFilename(), `${file.name}.receipt.json`);
    const receipt = join(stack.folder, "receipt.json");
    await saved.saveAs(receipt);
    const verified = await run(program, ["verify", file.path, receipt, "--server", stack.server.url]);
    assert.match(verified.stdout, /^signature: .*\nsize: .*\ncrc64nvme: /);
    // Of the other store it is MD5s that were compared, and the receipt has a CRC.
    const compares = store.kind === "embedded" ? "store" : "client";
    assert.equal(JSON.parse(await readFile(receipt)).receipt.checked_by, compares);
    const bytes = await readFile(file.path);
    bytes[0] ^= 1;
    await writeFile(file.path, bytes);
    await assert.rejects(run(program, ["verify", file.path, receipt, "--server", stack.server.url]), { code: 1 });
  });
}

test("a bucket whose CORS rules allow no such header takes the parts without it", async (t) => {
  const asksFor = ({ headers }) => /checksum|md5/.test(headers["access-control-request-headers"] ?? "");
  const stack = await startStack(t, {
    proxy: { otherFault: (request) => (request.method === "OPTIONS" && asksFor(request) ? "503-without-cors" : "pass") },
  });
  const file = await makeFile(stack.files, "a film.bin", (9 << 20) + 77, 212);
  const browser = await stack.browser();
  const page = await browser.visit(stack.server.url);

  await page.choose(file);
  const row = await page.reach(file.name, "complete", 120_000);

  await stack.assertArrived((await page.api(`/uploads/${row.id}`)).body, file);
  assert.equal(stack.proxy.acknowledged.length, 10, "all of them went straight");
  assert.ok(stack.proxy.parts.every(({ checksums }) => Object.keys(checksums).length === 0));
  assert.equal((await page.api(`/uploads/${row.id}/receipt`)).body.receipt.checked_by, "store");
});
