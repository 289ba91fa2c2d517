// A scanner that takes its time: the page says that the file is being checked, and neither that it is done nor that
// something went wrong; the verdict decides.

import assert from "node:assert/strict";
import { once } from "node:events";
import { createServer } from "node:http";
import { test } from "node:test";
import { makeFile } from "./support/files.mjs";
import { until } from "./support/processes.mjs";
import { startStack } from "./support/stack.mjs";

/** An application that is asked about files, and says nothing until it is told what. */
async function startScanner(t) {
  const asked = [];
  const server = createServer((request, answer) => {
    request.resume().on("end", () => asked.push(answer));
  });
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  t.after(() => {
    server.closeAllConnections();
    server.close();
  });
  return {
    url: `http://127.0.0.1:${server.address().port}/`,
    asked,
    say(verdict) {
      const answer = asked.shift();
      answer.setHeader("content-type", "application/json");
      answer.end(JSON.stringify(verdict));
    },
  };
}

for (const [verdict, end, error] of [
  [{ verdict: "accept" }, "complete", /^$/],
  [{ verdict: "reject", reason: "a worm" }, "failed", /a worm/],
]) {
  test(`a file that is being checked is called so, until its verdict: ${verdict.verdict}`, async (t) => {
    const scanner = await startScanner(t);
    const stack = await startStack(t, {
      settings: { MULETEER_HOOKS__PRE_COMPLETE__URL: scanner.url, MULETEER_HOOKS__PRE_COMPLETE__WAIT_S: 0 },
    });
    const file = await makeFile(stack.files, "a parcel.bin", 3_000_000, 221);
    const browser = await stack.browser();
    const page = await browser.visit(stack.server.url);

    await page.choose(file);
    const row = page.row(file.name);
    await until("the page says so", async () => (await row.locator(".status").textContent()) === "Being checked");

    assert.equal((await page.status(file.name)).state, "completing");
    assert.equal(await row.locator(".note:not([hidden])").count(), 0, "nothing went wrong");
    await until("the scanner is asked", async () => scanner.asked.length > 0);
    scanner.say(verdict);
    const said = await page.reach(file.name, end);
    assert.match(said.error, error);
    assert.deepEqual(page.errors, []);
  });
}
