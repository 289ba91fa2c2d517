// A server with a folder and no bucket: the page sends everything through it, says so, and goes on where it was.

import assert from "node:assert/strict";
import { createHash } from "node:crypto";
import { access, readFile } from "node:fs/promises";
import { join } from "node:path";
import { test } from "node:test";
import { makeFile } from "./support/files.mjs";
import { MIB, startStack } from "./support/stack.mjs";

/** A server with a folder, and whatever its browsers ask of other hosts. */
async function startWithFolder(t) {
  const stack = await startStack(t, { settings: { STORAGE_BACKEND: "local", LOCAL_STORAGE_PATH: "uploaded" } });
  const browser = await stack.browser();
  const elsewhere = [];
  browser.context.on("request", (request) => {
    if (!request.url().startsWith(stack.server.url)) elsewhere.push(request.url());
  });
  return { stack, browser, elsewhere };
}

const sha256 = (bytes) => createHash("sha256").update(bytes).digest("hex");

test("a file ends in the folder, and the page says where it goes", async (t) => {
  const { stack, browser, elsewhere } = await startWithFolder(t);
  const file = await makeFile(stack.files, "to a folder.bin", 24 * MIB + 5, 221);
  const page = await browser.visit(stack.server.url);
  const signatures = [];
  const claimed = [];
  page.page.on("request", (request) => {
    if (request.url().endsWith("/signatures")) signatures.push(request.url());
    if (request.url().endsWith("/content")) claimed.push(request.headers()["x-amz-checksum-crc64nvme"]);
  });
  await page.page.getByText("Into a folder on the server, part by part.").waitFor();

  await page.choose(file);
  const row = await page.reach(file.name, "complete");

  const { body: upload } = await page.api(`/uploads/${row.id}`);
  assert.equal(upload.transfer, "relay");
  assert.equal(sha256(await readFile(join(stack.server.data, upload.location))), file.sha256);
  assert.deepEqual([signatures, elsewhere, page.errors], [[], [], []], "no signature and no store is asked for");
  assert.equal(claimed.length, upload.part_count);
  assert.ok(claimed.every((sum) => /^.{11}=$/.test(sum)), `each part tells its checksum: ${claimed}`);
  assert.equal(await page.page.locator(".detour").first().isVisible(), false, "the only way is no detour");
  await assert.rejects(access(join(stack.server.data, "s3")), "there is no embedded store");
});

test("after a kill of the server and a reload only what is missing is sent", async (t) => {
  const { stack, browser } = await startWithFolder(t);
  const file = await makeFile(stack.files, "goes on.bin", 40 * MIB, 222);
  const page = await browser.visit(stack.server.url);
  const sent = [];
  page.page.on("requestfinished", async (request) => {
    const [, number] = /parts\/(\d+)\/content$/.exec(request.url()) ?? [];
    if (number && (await request.response())?.status() === 200) sent.push(Number(number));
  });
  await page.page.locator("input#workers").fill("1");
  await page.page.locator("input#workers").blur();
  await page.choose(file);
  while (sent.length < 3) await page.page.waitForTimeout(5);
  await stack.server.kill();
  await stack.server.restart();
  await page.page.reload();
  await page.choose(file);
  const row = await page.reach(file.name, "complete");

  const { body: upload } = await page.api(`/uploads/${row.id}`);
  assert.equal(sha256(await readFile(join(stack.server.data, upload.location))), file.sha256);
  assert.ok(sent.length <= 41, `${sent.length} parts were sent of 40: ${sent}`);
});

test("the doctor's page sends its part through the server, and finds nothing wrong", async (t) => {
  const { stack, browser, elsewhere } = await startWithFolder(t);
  const { page, errors } = await browser.visit(`${stack.server.url}/doctor`);

  await page.getByRole("button", { name: "Examine" }).click();
  await page.locator("#doctor[data-state=done]").waitFor({ timeout: 60_000 });

  assert.equal(await page.getByRole("status").innerText(),
    "All is well: this browser sends its parts through the server.");
  const states = await page.locator("li.check").evaluateAll((items) => items.map((item) => item.dataset.state));
  assert.deepEqual(states, ["good", "good", "good", "good"]);
  assert.deepEqual([elsewhere, errors], [[], []]);
});
