// The doctor's page, in a real browser: what stands between this browser and the store is named as `muleteer doctor` names
// it, with the exact fix, and nothing of the examination is left. `MULETEER_SCREENSHOTS` names a folder for pictures.

import assert from "node:assert/strict";
import { createHash } from "node:crypto";
import { readFile } from "node:fs/promises";
import { createServer, request } from "node:http";
import { join } from "node:path";
import { test } from "node:test";
import { startStack, STORES } from "./support/stack.mjs";

const OUTSIDE = STORES.find((store) => store.kind === "outside");
const pictures = process.env.MULETEER_SCREENSHOTS;

/** Opens the page, lets it examine, and answers its lines and its verdict; nothing may be left of it. */
async function examine(stack, name, { key, url = stack.server.url, args = [], isPolicyStrict = false } = {}) {
  const browser = await stack.browser(name, { args });
  const { page, errors } = await browser.visit(`${url}/doctor`);
  const complaints = [];
  page.on("console", (message) => {
    if (/Content.Security.Policy/i.test(message.text())) complaints.push(message.text());
  });
  const begun = page.waitForResponse(
    (answer) => answer.request().method() === "POST" && answer.url().endsWith("/uploads"), { timeout: 20_000 },
  ).then((answer) => answer.json(), () => undefined);
  if (key) await page.getByLabel("API key").fill(key);
  await page.getByRole("button", { name: "Examine" }).click();
  await page.locator("#doctor[data-state=done]").waitFor({ timeout: 60_000 });
  const lines = await page.locator("li.check").evaluateAll((items) => items.map((item) => ({
    state: item.dataset.state, findings: item.dataset.findings, text: item.innerText,
    rule: item.querySelector(".check-rule:not([hidden])")?.textContent,
  })));
  const verdict = await page.getByRole("status").innerText();
  if (pictures) {
    for (const colorScheme of ["light", "dark"]) {
      await page.emulateMedia({ colorScheme });
      await page.screenshot({ path: join(pictures, `doctor-${name}-${colorScheme}.png`), fullPage: true });
    }
  }
  assert.deepEqual(errors, []);
  assert.equal(complaints.length > 0, isPolicyStrict, complaints.join("\n"));
  return { page, lines, verdict, begun, findings: lines.map((line) => line.findings).filter(Boolean) };
}

/** The upload was begun, and was given up: for our server, and in the store. */
async function assertNothingLeft(stack, { begun, page }) {
  const { id, token } = await begun;
  assert.ok(id, "an upload was begun");
  const { body } = await stack.api(`/uploads/${id}`, { token });
  assert.equal(body.state, "aborted");
  assert.deepEqual(await stack.s3.unfinished(stack.bucket), []);
  assert.deepEqual(await stack.s3.keys(stack.bucket, ""), []);
  assert.equal(await page.locator("li.check").last().getAttribute("data-state"), "good");
}

/** Gives the bucket these CORS rules, or none. */
async function setCors(stack, rule) {
  if (!rule) return stack.s3.text("DELETE", `/${stack.bucket}`, { query: { cors: "" } });
  const body = `<CORSConfiguration><CORSRule>${rule}</CORSRule></CORSConfiguration>`;
  const headers = { "content-md5": createHash("md5").update(body).digest("base64") };
  return stack.s3.text("PUT", `/${stack.bucket}`, { query: { cors: "" }, body, headers });
}

test("all is well on the embedded store", async (t) => {
  const stack = await startStack(t);
  const seen = await examine(stack, "well");

  assert.deepEqual(seen.findings, []);
  assert.deepEqual(seen.lines.filter((line) => line.state === "bad"), []);
  assert.match(seen.verdict, /All is well/);
  assert.equal(stack.proxy.acknowledged.length, 1, "the part went straight to the store");
  await assertNothingLeft(stack, seen);
});

test("a store that this browser cannot reach", async (t) => {
  const stack = await startStack(t);
  stack.proxy.cut();
  const seen = await examine(stack, "cut");

  assert.deepEqual(seen.findings, ["public-endpoint-unreachable"]);
  assert.match(seen.verdict, /One thing is wrong/);
  await assertNothingLeft(stack, seen);
});

test("a store that is said to be on the reader's own machine", async (t) => {
  const stack = await startStack(t);
  const url = `http://upload.test:${stack.server.port}`;
  const seen = await examine(stack, "loopback", { url, args: ["--host-resolver-rules=MAP upload.test 127.0.0.1"] });

  assert.deepEqual(seen.findings, ["public-endpoint-loopback"]);
  assert.match(seen.lines.find((line) => line.findings).text, /s3\.public_endpoint/);
  assert.equal(stack.proxy.parts.length, 0, "nothing was sent there");
  await assertNothingLeft(stack, seen);
});

test("a proxy that changes the host on the way spoils the signature", async (t) => {
  const address = await proxyTo(t, { host: "store.internal" });
  const spoilt = await startStack(t, { settings: { MULETEER_S3__PUBLIC_ENDPOINT: address.url } });
  address.target = spoilt.proxy.url;
  const seen = await examine(spoilt, "host");

  assert.deepEqual(seen.findings, ["public-endpoint-signature"]);
  assert.match(seen.lines.find((line) => line.findings).text, /SignatureDoesNotMatch[^]*keep Host, path and query/);
  await assertNothingLeft(spoilt, seen);
});

test("a proxy that swallows the CORS headers of answers", async (t) => {
  const address = await proxyTo(t, { change: swallow });
  const spoilt = await startStack(t, { settings: { MULETEER_S3__PUBLIC_ENDPOINT: address.url } });
  address.target = spoilt.proxy.url;
  const seen = await examine(spoilt, "swallowed");

  assert.deepEqual(seen.findings, ["cors-swallowed"]);
  await assertNothingLeft(spoilt, seen);
});

test("a store whose clock is five minutes behind", async (t) => {
  const change = (headers) => {
    headers.date = new Date(Date.now() - 300_000).toUTCString();
    headers["access-control-expose-headers"] = "ETag, Date";
  };
  const address = await proxyTo(t, { change });
  const stack = await startStack(t, { settings: { MULETEER_S3__PUBLIC_ENDPOINT: address.url } });
  address.target = stack.proxy.url;
  const seen = await examine(stack, "clock");

  assert.deepEqual(seen.findings, ["clock-skew"]);
  assert.match(seen.lines.find((line) => line.findings).text, /5 min ahead of the store's/);
  await assertNothingLeft(stack, seen);
});

test("a policy of a proxy's own keeps the page from the store", async (t) => {
  const change = (headers) => {
    headers["content-security-policy"] = "default-src 'self'";
  };
  const front = await proxyTo(t, { change });
  const stack = await startStack(t);
  front.target = stack.server.url;
  const seen = await examine(stack, "policy", { url: front.url, isPolicyStrict: true });

  const [wrong] = seen.lines.filter((line) => line.state === "bad");
  assert.match(wrong.text, /Content-Security-Policy[^]*connect-src/);
  assert.ok(wrong.text.includes(stack.proxy.url));
  await assertNothingLeft(stack, seen);
});

test("without a credential where one is needed, and with a wrong one", async (t) => {
  const stack = await startStack(t, { settings: { MULETEER_AUTH__ANONYMOUS: "off" } });
  const stranger = await examine(stack, "stranger");
  assert.match(stranger.lines[0].text, /nobody upload without an API key/);
  const wrong = await examine(stack, "wrong", { key: "not-a-key" });
  assert.deepEqual(wrong.findings, ["server-key-refused"]);
  const known = await examine(stack, "known", { key: await stack.server.createKey("anna") });
  assert.match(known.lines[0].text, /anna/);
  assert.match(known.verdict, /All is well/);
  await assertNothingLeft(stack, known);
});

const skip = OUTSIDE ? false : "S3_ENDPOINT names no outside store";
const METHODS = "<AllowedMethod>GET</AllowedMethod><AllowedMethod>PUT</AllowedMethod>";

/** What each set of rules of a bucket is found to be. */
const RULES = [
  { name: "no rules", rule: null, findings: "cors-missing cors-origin" },
  {
    name: "another site's origin", findings: "cors-missing cors-origin",
    rule: `<AllowedOrigin>https://other.example</AllowedOrigin>${METHODS}<ExposeHeader>ETag</ExposeHeader>`,
  },
  {
    name: "no PUT", findings: "cors-method",
    rule: "<AllowedOrigin>*</AllowedOrigin><AllowedMethod>GET</AllowedMethod><ExposeHeader>ETag</ExposeHeader>",
  },
  {
    name: "no exposed headers", findings: "cors-etag-hidden",
    rule: `<AllowedOrigin>*</AllowedOrigin>${METHODS}<AllowedHeader>*</AllowedHeader>`,
  },
];

test("a bucket's CORS rules, on an outside S3 server", { skip }, async (t) => {
  const stack = await startStack(t, { store: OUTSIDE });
  for (const { name, rule, findings } of RULES) {
    await t.test(name, async () => {
      await setCors(stack, rule);
      const seen = await examine(stack, name.replaceAll(" ", "-"));

      assert.deepEqual(seen.findings, [findings]);
      const line = seen.lines.find((one) => one.findings);
      assert.match(line.text, /muleteer cors apply/);
      const [offered] = JSON.parse(line.rule).CORSRules;
      assert.deepEqual(offered.AllowedOrigins, [stack.server.url]);
      assert.ok(offered.ExposeHeaders.includes("ETag"));
      await assertNothingLeft(stack, seen);
    });
  }
  await t.test("the rule that the page offers", async () => {
    const list = (tag, values) => values.map((value) => `<${tag}>${value}</${tag}>`).join("");
    await setCors(stack, null);
    const { lines } = await examine(stack, "before");
    const [rule] = JSON.parse(lines.find((line) => line.rule).rule).CORSRules;
    await setCors(stack, list("AllowedOrigin", rule.AllowedOrigins) + list("AllowedMethod", rule.AllowedMethods)
      + list("AllowedHeader", rule.AllowedHeaders) + list("ExposeHeader", rule.ExposeHeaders));
    const after = await examine(stack, "after");
    assert.match(after.verdict, /All is well/);
    await assertNothingLeft(stack, after);
  });
});

test("`muleteer doctor`'s list knows every name that the page gives", async () => {
  const [script, list] = await Promise.all(["../../static/page/way_to_store.js", "../../docs/doctor.md"].map(
    (path) => readFile(new URL(path, import.meta.url), "utf8")));
  const given = [...script.matchAll(/(?:ids: \[|: \[)([^\]]*?)\]/g)].flatMap((match) =>
    [...match[1].matchAll(/"([a-z0-9]+(?:-[a-z0-9]+)+)"/g)].map((name) => name[1]));
  assert.ok(given.length > 10, `${given.length} names`);
  for (const name of given) assert.ok(list.includes(`| \`${name}\` |`), name);
});

function swallow(headers) {
  for (const name of Object.keys(headers)) if (name.startsWith("access-control-")) delete headers[name];
}

/** A proxy that does not leave the host of requests or the headers of answers as they are; `target` is set later. */
async function proxyTo(t, { host, change }) {
  const proxy = {};
  const server = createServer((incoming, outgoing) => {
    const headers = { ...incoming.headers, ...(host && { host }) };
    const onward = request(new URL(incoming.url, proxy.target), { method: incoming.method, headers }, (answer) => {
      const passed = { ...answer.headers };
      if (incoming.method !== "OPTIONS") change?.(passed);
      outgoing.writeHead(answer.statusCode, passed);
      answer.pipe(outgoing);
    });
    onward.on("error", () => outgoing.destroy());
    incoming.pipe(onward);
  });
  await new Promise((resolve) => server.listen(0, "127.0.0.1", resolve));
  t.after(() => { server.closeAllConnections(); server.close(); });
  proxy.url = `http://127.0.0.1:${server.address().port}`;
  return proxy;
}
