// The admin's pages in a browser: somebody calls with the code that their page shows, and support finds the upload, sees
// what is missing and ends it well. With JavaScript and without. `MULETEER_SCREENSHOTS` names a folder for pictures.

import assert from "node:assert/strict";
import { join } from "node:path";
import { test } from "node:test";
import { makeFile } from "./support/files.mjs";
import { MIB, startStack } from "./support/stack.mjs";

const pictures = process.env.MULETEER_SCREENSHOTS;

async function picture(page, name) {
  if (!pictures) return;
  for (const [look, colorScheme, width] of [["light", "light", 1280], ["dark", "dark", 1280], ["narrow", "light", 390]]) {
    await page.emulateMedia({ colorScheme });
    await page.setViewportSize({ width, height: 900 });
    await page.screenshot({ path: join(pictures, `${name}-${look}.png`), fullPage: true });
  }
  await page.emulateMedia({ colorScheme: "light" });
  await page.setViewportSize({ width: 1280, height: 900 });
}

async function logIn(page, url, key) {
  await page.goto(`${url}/admin`);
  await page.getByLabel("Admin key").fill(key);
  await page.getByRole("button", { name: "Log in" }).click();
  await page.getByRole("search").waitFor();
}

/** No page is wider than its screen, and no script or style of it was refused. */
async function assertSound(page, complaints) {
  const { inner, outer } = await page.evaluate(() => ({
    inner: document.documentElement.scrollWidth, outer: document.documentElement.clientWidth,
  }));
  assert.ok(inner <= outer, `the page is ${inner} wide on a screen of ${outer}`);
  assert.deepEqual(complaints, []);
}

test("a code from the uploader's page leads support to the upload", async (t) => {
  const stack = await startStack(t, { proxy: { bytesPerSecond: 1.5 * MIB } });
  const key = await stack.server.createKey("root", "admin");
  const file = await makeFile(stack.files, "Holiday <b>film.mp4", 8 * MIB);
  const person = await stack.browser("person");
  const uploader = await person.visit(stack.server.url);
  await uploader.choose(file);
  const row = uploader.row(file.name);
  await row.locator(".support-code code:not(:empty)").waitFor();
  const code = await row.locator(".support-code code").textContent();
  assert.match(code, /^[0-9A-Z]{4}-[0-9A-Z]{4}$/);
  await uploader.watch(file.name, (status) => status.sent >= 2 * MIB, "two parts");
  await uploader.press(file.name, "pause");

  const browser = await stack.browser("support");
  const page = await browser.context.newPage();
  const complaints = [];
  page.on("console", (message) => message.type() === "error" && !/401|404/.test(message.text()) && complaints.push(message.text()));
  page.on("pageerror", (error) => complaints.push(String(error)));
  await logIn(page, stack.server.url, key);
  await page.keyboard.press("/");
  await page.keyboard.type(code.toLowerCase());
  await page.keyboard.press("Enter");
  await page.waitForURL(/q=/);
  assert.equal(await page.locator("table.uploads tbody tr").count(), 1);
  await picture(page, "list");
  await page.setViewportSize({ width: 390, height: 800 });
  await assertSound(page, complaints);
  await page.getByRole("link", { name: file.name }).click();
  await page.getByRole("heading", { name: "What to tell the user" }).waitFor();
  await assertSound(page, complaints);
  await page.setViewportSize({ width: 1280, height: 900 });
  await picture(page, "upload");
  assert.match(await page.locator(".advice").textContent(), /Missing: \d parts/);
  assert.match(await page.locator(".map").getAttribute("aria-label"), /^8 parts: /);
  assert.equal(await page.locator("h1 b").count(), 0, "a name is text");

  // The page keeps itself up to date.
  await uploader.press(file.name, "resume");
  await page.locator(".heading .is-complete").waitFor({ timeout: 60_000 });
  assert.match(await page.locator(".advice").textContent(), /whole and stored/);
  for (const [path, name] of [["owners", "Open bytes by owner"], ["webhooks", "Webhooks"], ["sweeps", "What the sweeper did"]]) {
    await page.goto(`${stack.server.url}/admin/${path}`);
    await page.getByRole("heading", { name }).waitFor();
    await picture(page, path);
    await assertSound(page, complaints);
  }
  await page.getByRole("button", { name: "Log out" }).click();
  await page.getByLabel("Admin key").waitFor();
  await picture(page, "login");
});

test("without JavaScript everything can be done as well", async (t) => {
  const stack = await startStack(t);
  const key = await stack.server.createKey("root", "admin");
  const anna = await stack.server.createKey("anna");
  const { body: upload } = await stack.api("/uploads", { method: "POST", key: anna, body: { filename: "a.bin", size: 3 * MIB } });
  const browser = await stack.browser("support", { scripts: false });
  const page = await browser.context.newPage();
  await logIn(page, stack.server.url, key);
  await page.getByLabel("Search", { exact: true }).fill("anna");
  await page.getByLabel("Search in").selectOption("Owner");
  await page.getByRole("button", { name: "Search" }).click();
  await page.getByRole("link", { name: "a.bin" }).click();

  await page.getByText("Extend", { exact: true }).click();
  await page.getByLabel(/so many hours/).fill("500");
  await page.getByRole("button", { name: "Extend it" }).click();
  await page.getByText("It lives longer now.").waitFor();
  await page.getByText("Abort", { exact: true }).click();
  await page.getByRole("checkbox").check();
  await page.getByRole("button", { name: "Abort it" }).click();

  await page.getByText("It was given up.").waitFor();
  assert.equal((await stack.api(`/uploads/${upload.id}`, { key: anna })).body.state, "aborted");
  await page.getByText("An admin asked to abort it").waitFor();
});
