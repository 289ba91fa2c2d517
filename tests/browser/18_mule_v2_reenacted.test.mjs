// mule-uploader's second generation in a real browser: a page of another site makes the script's requests, signed in the
// page with the key that it is given. The script knows no host but AWS's, so the browser's resolver leads that to us. Its
// reactions to failures are played in tests/mule_v2.

import assert from "node:assert/strict";
import { test } from "node:test";
import { makeFile } from "./support/files.mjs";
import { startSite } from "./support/site.mjs";
import { MIB, startStack } from "./support/stack.mjs";

/**
 * Runs in the page. Answers what the store was sent; `stopAfter` is the refresh: it ends after so many parts.
 * @param {{ base: string, chunkSize: number, apiKey: string, stopAfter?: number }} settings
 */
async function actAsTheScript({ base, chunkSize, apiKey, stopAfter = Infinity }) {
  const [file] = document.querySelector("input").files;
  const count = Math.ceil(file.size / chunkSize);
  const hex = (bytes) => [...new Uint8Array(bytes)].map((byte) => byte.toString(16).padStart(2, "0")).join("");
  const encode = (text) => new TextEncoder().encode(text);

  const request = (method, url, body = null) =>
    new Promise((resolve, reject) => {
      const xhr = new XMLHttpRequest();
      xhr.open(method, url, true);
      xhr.onload = () => resolve(xhr);
      xhr.onerror = () => reject(new Error(`${method} ${url}: error event`));
      xhr.send(body);
    });
  const ask = (action, more = {}) => {
    const all = {
      api_key: apiKey, filename: file.name, filesize: file.size, content_type: file.type,
      last_modified: file.lastModified, ...more,
    };
    const query = Object.entries(all).map(([name, value]) => `${name}=${encodeURIComponent(value)}`);
    return request("GET", `${base}/${action}/?${query.join("&")}`);
  };

  const reply = JSON.parse((await ask("signing_key")).responseText);
  const { key, upload_id: uploadId } = reply;
  const host = `${reply.bucket}.s3${reply.region.startsWith("us") ? "" : `-${reply.region}`}.amazonaws.com`;
  const seed = Uint8Array.from(reply.signature.match(/../g), (pair) => parseInt(pair, 16));
  const signer = await crypto.subtle.importKey("raw", seed, { name: "HMAC", hash: "SHA-256" }, false, ["sign"]);
  const store = async (method, parameters, body) => {
    const time = new Date().toISOString().replace(/[-:]|\.\d+/g, "");
    const scope = `${reply.date.slice(0, 10).replaceAll("-", "")}/${reply.region}/s3/aws4_request`;
    const signed = {
      ...parameters, "X-Amz-Date": time, "X-Amz-Algorithm": "AWS4-HMAC-SHA256", "X-Amz-Expires": 86400,
      "X-Amz-Credential": encodeURIComponent(`${reply.access_key}/${scope}`), "X-Amz-SignedHeaders": "host",
    };
    const query = Object.entries(signed).map(([name, value]) => `${name}=${value}`).sort().join("&");
    const canonical = `${method}\n/${key}\n${query}\nhost:${host}\n\nhost\nUNSIGNED-PAYLOAD`;
    const digest = hex(await crypto.subtle.digest("SHA-256", encode(canonical)));
    const text = `AWS4-HMAC-SHA256\n${time}\n${scope}\n${digest}`;
    const signature = hex(await crypto.subtle.sign("HMAC", signer, encode(text)));
    const xhr = await request(method, `${location.protocol}//${host}/${key}?${query}&X-Amz-Signature=${signature}`, body);
    if (xhr.status !== 200) throw new Error(`${method} ${query}: ${xhr.status} ${xhr.responseText}`);
    return xhr;
  };
  const value = (part, name) => part.getElementsByTagName(name)[0].textContent;
  const list = async () => [...(await store("GET", { uploadId })).responseXML.getElementsByTagName("Part")];

  const held = new Set((await list()).map((part) => Number(value(part, "PartNumber"))));
  const waiting = Array.from({ length: count }, (_, chunk) => chunk).filter((chunk) => !held.has(chunk + 1));
  const sent = [];
  const work = async () => {
    while (waiting.length > 0 && sent.length < stopAfter) {
      const chunk = waiting.shift();
      sent.push(chunk + 1);
      await store("PUT", { partNumber: chunk + 1, uploadId }, file.slice(chunk * chunkSize, (chunk + 1) * chunkSize));
      await ask("chunk_loaded", { chunk, key, upload_id: uploadId });
    }
  };
  await Promise.all([work(), work()]);
  if (stopAfter < Infinity) return { sent };

  const parts = (await list()).map(
    (part) => `<Part><PartNumber>${value(part, "PartNumber")}</PartNumber><ETag>${value(part, "ETag")}</ETag></Part>`);
  await store("POST", { uploadId }, `<CompleteMultipartUpload>${parts.join("")}</CompleteMultipartUpload>`);
  return { sent, key };
}

test("a page of another site uploads as the second script does, and on after a refresh", { timeout: 60_000 }, async (t) => {
  const site = await startSite(t);
  const stack = await startStack(t, {
    settings: {
      MULETEER_PROTOCOLS__MULE__SIGNING_KEY__ACCESS_KEY_ID: "NARROWKEYID000000000",
      MULETEER_PROTOCOLS__MULE__SIGNING_KEY__SECRET_ACCESS_KEY: "the secret of the narrow key",
      MULETEER_PROTOCOLS__MULE__CHUNK_SIZE: MIB,
      MULETEER_CORS__ALLOWED_ORIGINS: site,
    },
  });
  assert.match(stack.server.log, /WARN.*protocols\.mule\.signing_key is set/);
  const settings = {
    base: `${stack.server.url}/upload-backend`, chunkSize: MIB, apiKey: await stack.server.createKey("anna"),
  };
  const file = await makeFile(stack.files, "日本 & 100%+.mp4", 5 * MIB + MIB / 2, 1801);
  const { host } = new URL(stack.proxy.url);
  const browser = await stack.browser("someone", { args: [`--host-resolver-rules=MAP *.amazonaws.com ${host}`] });
  const page = browser.context.pages()[0] ?? (await browser.context.newPage());
  const open = async () => {
    await page.goto(site);
    await page.locator("input").setInputFiles(file.path);
    return page;
  };

  const before = await (await open()).evaluate(actAsTheScript, { ...settings, stopAfter: 2 });
  const after = await (await open()).evaluate(actAsTheScript, settings);

  assert.deepEqual([before.sent, after.sent], [[1, 2], [3, 4, 5, 6]], "every part once");
  const object = await stack.s3.digest(stack.bucket, after.key);
  assert.deepEqual(object, { status: 200, size: file.size, sha256: file.sha256 });
  assert.deepEqual(await stack.s3.unfinished(stack.bucket), []);
  assert.equal((stack.server.log.match(/a signing key was handed out/g) ?? []).length, 2, "every key is on record");
});
