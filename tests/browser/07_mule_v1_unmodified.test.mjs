// mule-uploader's first generation in a real browser: a page of another site makes exactly the script's requests, so
// the browser itself judges preflights, headers and what the page may read. The script's reactions to failures are
// played in tests/mule_v1; here is the straight way and one refresh.

import assert from "node:assert/strict";
import { test } from "node:test";
import { makeFile } from "./support/files.mjs";
import { startSite } from "./support/site.mjs";
import { MIB, startStack, STORES } from "./support/stack.mjs";

/**
 * Runs in the page. Answers what the store was sent; `stopAfter` is the refresh: it ends after so many parts.
 * @param {{ base: string, host: string, accessKey: string, type: string, chunkSize: number, apiKey: string, stopAfter?: number }} settings
 */
async function actAsTheScript(settings) {
  const file = document.querySelector("input").files[0];
  const count = Math.ceil(file.size / settings.chunkSize);
  const identity = `filename=${escape(file.name)}&filesize=${file.size}&last_modified=${file.lastModified}`;
  let key = "proposed/by/the/page";
  let uploadId;

  const request = (method, url, headers = {}, body = null) =>
    new Promise((resolve, reject) => {
      const xhr = new XMLHttpRequest();
      xhr.open(method, url, true);
      for (const [name, value] of Object.entries(headers)) xhr.setRequestHeader(name, value);
      xhr.onload = () => resolve(xhr);
      xhr.onerror = () => reject(new Error(`${method} ${url}: error event`));
      xhr.send(body);
    });
  const ask = async (action, query) => {
    const xhr = await request("GET", `${settings.base}/${action}/?${query}&api_key=${encodeURIComponent(settings.apiKey)}`);
    return action.startsWith("get_") ? JSON.parse(xhr.responseText) : xhr.status;
  };
  const store = async (method, query, { signature, date }, withType, body) => {
    const headers = { "x-amz-date": date, Authorization: `AWS ${settings.accessKey}:${signature}` };
    if (withType) {
      headers["Content-Type"] = settings.type;
      headers["Content-Disposition"] = `attachment; filename=${file.name}`;
    }
    const xhr = await request(method, `${settings.host}/${key}?${query}`, headers, body);
    if (xhr.status !== 200) throw new Error(`${method} ${query}: ${xhr.status} ${xhr.responseText}`);
    return xhr;
  };
  const single = (action) => ask(action, `upload_id=${escape(uploadId)}&key=${key}`);
  const list = async () => (await store("GET", `uploadId=${uploadId}`, await single("get_list_signature"), false)).responseXML;

  const init = await ask("get_init_signature", `key=${key}&mime_type=${escape(settings.type)}&${identity}`);
  [key, uploadId] = [init.key, init.upload_id];
  await list();
  const all = await ask(
    "get_all_signatures",
    `key=${key}&mime_type=${escape(settings.type)}&num_chunks=${count}&upload_id=${uploadId}&${identity}`);
  const sent = [];
  const waiting = [];
  for (let number = 1; number <= count; number++) if (!init.chunks.includes(number)) waiting.push(number);
  const work = async () => {
    for (let number; (number = waiting.shift()); ) {
      if (sent.length >= (settings.stopAfter ?? Infinity)) return;
      const [signature, date] = all.chunk_signatures?.[number] ?? [];
      const signed = signature
        ? { signature, date }
        : await ask("get_chunk_signature", `chunk=${number}&upload_id=${escape(uploadId)}&key=${key}`);
      const slice = file.slice((number - 1) * settings.chunkSize, number * settings.chunkSize);
      sent.push(number);
      await store("PUT", `partNumber=${number}&uploadId=${uploadId}`, signed, true, slice);
      await ask("chunk_loaded", `key=${key}&chunk=${number}&upload_id=${uploadId}&${identity}`);
    }
  };
  await Promise.all([work(), work(), work(), work()]);
  if (settings.stopAfter !== undefined) return { sent };

  const end = await single("get_end_signature");
  const text = (part, name) => part.getElementsByTagName(name)[0].textContent;
  const parts = [...(await list()).getElementsByTagName("Part")].map(
    (part) => `<Part><PartNumber>${text(part, "PartNumber")}</PartNumber><ETag>${text(part, "ETag")}</ETag></Part>`);
  const xml = `<CompleteMultipartUpload>${parts.join("")}</CompleteMultipartUpload>`;
  await store("POST", `uploadId=${uploadId}`, end, true, xml);
  const finished = await ask("upload_finished", `key=${key}&upload_id=${uploadId}&${identity}`);
  return { sent, key, finished };
}

for (const store of STORES) {
  test(`a page of another site uploads as the unmodified script does, ${store.name}`, async (t) => {
    const site = await startSite(t);
    const stack = await startStack(t, {
      store,
      settings: {
        MULETEER_PROTOCOLS__MULE__SIGNATURE_V2: true,
        MULETEER_PROTOCOLS__MULE__CHUNK_SIZE: store.partSize,
        MULETEER_CORS__ALLOWED_ORIGINS: site,
      },
    });
    const settings = {
      base: `${stack.server.url}/upload-backend`,
      host: `${stack.proxy.url}/${stack.bucket}`,
      accessKey: stack.s3.accessKey,
      type: "video/mp4",
      chunkSize: store.partSize,
      apiKey: await stack.server.createKey("anna"),
    };
    // Latin-1 in a header and in `escape()`, and signs that a form decoder would spoil.
    const file = await makeFile(stack.files, "café + 100%.mp4", 6 * store.partSize + MIB / 2, 71);
    const browser = await stack.browser();
    const open = async () => {
      const page = browser.context.pages()[0] ?? (await browser.context.newPage());
      await page.goto(site);
      await page.locator("input").setInputFiles(file.path);
      return page;
    };

    const before = await (await open()).evaluate(actAsTheScript, { ...settings, stopAfter: 3 });
    const after = await (await open()).evaluate(actAsTheScript, settings);

    assert.equal(after.finished, 200);
    assert.deepEqual([...before.sent, ...after.sent].sort(), [1, 2, 3, 4, 5, 6, 7], "every part once");
    const object = await stack.s3.digest(stack.bucket, after.key);
    assert.deepEqual(object, { status: 200, size: file.size, sha256: file.sha256 });
    assert.deepEqual(await stack.s3.unfinished(stack.bucket), []);
  });
}
