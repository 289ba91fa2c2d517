// The pages behind the reverse proxies that deploy/ has samples for: below a path that the proxy takes away, on an odd
// port. Whatever the page asks for has to be below that path; bytes go to the store or, where it is blocked, through the
// proxy.

import assert from "node:assert/strict";
import { test } from "node:test";
import { makeFile } from "./support/files.mjs";
import { PROXIES, plannedFront, startFront } from "./support/front.mjs";
import { MIB, startStack } from "./support/stack.mjs";

if (PROXIES.length === 0) test("the pages behind a reverse proxy", { skip: "MULETEER_TEST_PROXIES=skip" }, () => {});

for (const proxy of PROXIES) {
  test(`behind ${proxy}, the page uploads to the store, and by way of the server`, async (t) => {
    const front = await plannedFront();
    const stack = await startStack(t, { settings: front.settings, proxy: { latency: 30 } });
    await startFront(t, proxy, front, stack.server, stack.folder);
    const outside = [];
    const browser = await stack.browser();
    browser.context.on("request", (request) => {
      const to = request.url();
      if (!to.startsWith(`${front.url}/`) && !to.startsWith(stack.proxy.url)) outside.push(to);
    });

    const file = await makeFile(stack.files, "straight é.bin", 12 * MIB, 190);
    let page = await browser.visit(`${front.url}/`);
    await page.choose(file);
    await page.reach(file.name, "complete");
    assert.ok(stack.proxy.acknowledged.length >= 12, "the store got the parts");

    const around = await makeFile(stack.files, "around.bin", 5 * MIB, 191);
    await browser.context.route(`${stack.proxy.url}/**`, (route) => route.abort());
    page = await browser.visit(`${front.url}/`);
    await page.choose(around);
    await page.reach(around.name, "complete");

    const { uploads } = await page.page.evaluate(async (api) => (await fetch(`${api}/uploads`)).json(), `${front.url}/api/v1`);
    const sizes = Object.fromEntries(uploads.map((upload) => [upload.filename, upload]));
    await stack.assertArrived(sizes[file.name], file);
    await stack.assertArrived(sizes[around.name], around);
    assert.deepEqual(outside, [], "asked for outside of the path");
    assert.deepEqual(page.errors, []);
  });

  test(`behind ${proxy}, the API's reference calls the API, and a file goes over a WebSocket`, async (t) => {
    const front = await plannedFront();
    const stack = await startStack(t, { settings: front.settings });
    await startFront(t, proxy, front, stack.server, stack.folder);
    const browser = await stack.browser();
    const page = (await browser.visit(`${front.url}/docs`)).page;

    // Swagger's own button, as a person presses it.
    await page.locator("#operations-session-session .opblock-summary-control").click();
    await page.locator("#operations-session-session .try-out__btn").click();
    const called = page.waitForResponse((answer) => answer.url() === `${front.url}/api/v1/session`);
    await page.locator("#operations-session-session button.execute").click();
    assert.equal((await called).status(), 200);

    const file = await makeFile(stack.files, "socket.bin", 3 * MIB, 192);
    await page.goto(`${front.url}/galileo/demo`);
    const socket = page.waitForEvent("websocket");
    await page.locator("#file").setInputFiles(file.path);
    assert.equal((await socket).url().split("?")[0], `${front.url.replace("http", "ws")}/galileo`);
    await page.locator("#progress").evaluate(async (bar) => {
      while (bar.value < 1) await new Promise((again) => setTimeout(again, 50));
    });
  });
}
