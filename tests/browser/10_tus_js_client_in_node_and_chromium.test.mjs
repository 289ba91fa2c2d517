// The unmodified tus-js-client against the real program: in Node, and in a page of another site, where every answer
// passes the browser's rules for foreign origins. What arrived is held against the file byte for byte.

import assert from "node:assert/strict";
import { createReadStream } from "node:fs";
import { readFile } from "node:fs/promises";
import { request } from "node:http";
import { join } from "node:path";
import { Readable } from "node:stream";
import { test } from "node:test";
import * as tus from "tus-js-client";
import { CuttingPipe } from "./support/cutting_pipe.mjs";
import { makeFile } from "./support/files.mjs";
import { until } from "./support/processes.mjs";
import { MIB } from "./support/stack.mjs";
import { PLACES, startTus } from "./support/tus.mjs";

/** Several parts of a bucket, and no multiple of anything. */
const SIZE = 11 * MIB + 123_457;

/**
 * What is done with a file, in both places alike. `options` go to the client as they are; what cannot travel into a page
 * is in words: `from`, how the file is handed over.
 */
const WAYS = [
  { name: "as it comes" },
  { name: "in chunks", options: { chunkSize: 3 * MIB + 1 } },
  { name: "as one byte", size: 1 },
  { name: "empty", size: 0 },
  { name: "with its first bytes at creation", options: { uploadDataDuringCreation: true, chunkSize: 2 * MIB } },
  { name: "wholly at creation", options: { uploadDataDuringCreation: true } },
  { name: "empty at creation", options: { uploadDataDuringCreation: true }, size: 0 },
  { name: "with POST in place of PATCH", options: { overridePatchMethod: true, chunkSize: 4 * MIB } },
  { name: "in four at once", options: { parallelUploads: 4 } },
  { name: "in four at once, begun with bytes", options: { parallelUploads: 4, uploadDataDuringCreation: true } },
  {
    name: "in three at once, of one byte and of none",
    options: {
      parallelUploads: 3,
      parallelUploadBoundaries: [{ start: 0, end: 1 }, { start: 1, end: 1 }, { start: 1, end: SIZE }],
      metadataForPartialUploads: { of: "another upload" },
    },
  },
  { name: "of unknown length", from: "stream", options: { uploadLengthDeferred: true, chunkSize: 2 * MIB } },
  { name: "of unknown length, of whole chunks", from: "stream", size: 4 * MIB,
    options: { uploadLengthDeferred: true, chunkSize: 2 * MIB } },
  { name: "at the Goa example's address", path: "/upload", options: { chunkSize: 4 * MIB } },
  { name: "at the Goa example's address, in four at once", path: "/upload", options: { parallelUploads: 4 } },
  ...["ietf-draft-03", "ietf-draft-05"].flatMap((protocol) => [
    { name: `by ${protocol}`, options: { protocol } },
    { name: `by ${protocol}, in chunks`, options: { protocol, chunkSize: 3 * MIB + 1 } },
    { name: `by ${protocol}, begun with bytes`,
      options: { protocol, uploadDataDuringCreation: true, chunkSize: 4 * MIB } },
    { name: `by ${protocol}, wholly at creation`, options: { protocol, uploadDataDuringCreation: true } },
    { name: `by ${protocol}, empty`, options: { protocol, uploadDataDuringCreation: true }, size: 0 },
    { name: `by ${protocol}, of unknown length`, from: "stream",
      options: { protocol, uploadLengthDeferred: true, chunkSize: 2 * MIB } },
  ]),
];

const NAME = "héllo wörld 漢字 🎬.mp4";
const METADATA = { filename: NAME, filetype: "video/mp4", empty: "", relativePath: "Reise/2024" };

/** One file for a way, different from those of all other ways. */
const fileFor = (scene, way, seed) => makeFile(scene.files, NAME, way.size ?? SIZE, seed);

/** Uploads in Node. @returns {Promise<{ url: string, requests: string[] }>} */
async function uploadInNode(scene, path, { from, options = {}, path: mount = "/files", size }) {
  const requests = [];
  // Two things this client cannot do with a file, but with a buffer: read nothing out of it, and know that a piece is
  // the last, which only the IETF protocol must be told.
  const isInMemory = size === 0 || options.parallelUploadBoundaries || options.protocol;
  const source = isInMemory ? await readFile(path) : createReadStream(path);
  return new Promise((resolve, reject) => {
    const upload = new tus.Upload(from === "stream" ? Readable.from(source) : source, {
      endpoint: scene.server.url + mount,
      headers: { Authorization: `Bearer ${scene.key}` },
      metadata: METADATA,
      retryDelays: null,
      addRequestId: true,
      onAfterResponse: (request, answer) => requests.push(`${request.getMethod()} ${answer.getStatus()}`),
      onSuccess: () => resolve({ url: upload.url, requests }),
      onError: reject,
      ...options,
    });
    upload.start();
  });
}

/** Runs in the page: uploads the chosen file. */
function uploadInPage({ endpoint, key, metadata, from, options }) {
  const [file] = document.querySelector("input").files;
  const requests = [];
  return new Promise((resolve) => {
    const upload = new globalThis.tus.Upload(from === "stream" ? file.stream().getReader() : file, {
      endpoint,
      headers: { Authorization: `Bearer ${key}` },
      metadata,
      retryDelays: null,
      addRequestId: true,
      onAfterResponse: (request, answer) => requests.push(`${request.getMethod()} ${answer.getStatus()}`),
      onSuccess: () => resolve({ url: upload.url, requests }),
      onError: (error) => resolve({ error: String(error), requests }),
      ...options,
    });
    upload.start();
  });
}

/** What the server tells of an upload. */
async function head(scene, url, headers = {}) {
  const answer = await fetch(url, {
    method: "HEAD", headers: { Authorization: `Bearer ${scene.key}`, "Tus-Resumable": "1.0.0", ...headers },
  });
  return { status: answer.status, get: (name) => answer.headers.get(name) };
}

for (const place of PLACES) {
  test(`Node, into ${place.name}`, async (t) => {
    const scene = await startTus(t, { place });
    for (const [index, way] of WAYS.entries()) {
      await t.test(way.name, { timeout: 60_000 }, async () => {
        const file = await fileFor(scene, way, 1000 + index);
        const { url } = await uploadInNode(scene, file.path, way);
        assert.ok(new URL(url).pathname.startsWith(`${way.path ?? "/files"}/`), url);
        await scene.assertArrived(file);
      });
    }
  });

  test(`Chromium, from a page of another site, into ${place.name}`, async (t) => {
    const scene = await startTus(t, { place });
    const page = await scene.page();
    for (const [index, way] of WAYS.entries()) {
      await t.test(way.name, { timeout: 60_000 }, async () => {
        const file = await fileFor(scene, way, 1100 + index);
        await page.reload();
        await page.locator("input").setInputFiles(file.path);
        const { error, url, requests } = await page.evaluate(uploadInPage, {
          endpoint: scene.server.url + (way.path ?? "/files"), key: scene.key, metadata: METADATA,
          from: way.from, options: way.options,
        });
        assert.equal(error, undefined, requests.join(", "));
        assert.ok(new URL(url).pathname.startsWith(`${way.path ?? "/files"}/`), url);
        await scene.assertArrived(file);
      });
    }
  });
}

test("Node: metadata comes back as it was sent, and names the file", async (t) => {
  const scene = await startTus(t);
  const file = await makeFile(scene.files, NAME, 1000, 1201);

  const { url, requests } = await uploadInNode(scene, file.path, {});

  const told = await head(scene, url);
  const sent = Object.entries(METADATA).map(([key, value]) => `${key} ${Buffer.from(value).toString("base64")}`).join(",");
  assert.equal(told.get("upload-metadata"), sent);
  assert.deepEqual([told.status, told.get("upload-offset"), told.get("upload-length")], [200, "1000", "1000"]);
  assert.deepEqual(requests, ["POST 201", "PATCH 204"]);
  await scene.assertArrived(file);
  const api = await fetch(`${scene.server.url}/api/v1/uploads/${url.split("/").pop()}`, { headers: { "X-API-Key": scene.key } });
  const { filename, content_type: type, state } = await api.json();
  assert.deepEqual([filename, type, state], [NAME, "video/mp4", "complete"]);
});

/** One request as it is written; `body` goes in pieces, after a `100` where `Expect` asks for it. */
function exchange(url, method, headers, body) {
  return new Promise((resolve, reject) => {
    const outgoing = request(url, { method, headers });
    let continued = false;
    outgoing.once("error", reject);
    outgoing.once("continue", () => {
      continued = true;
      outgoing.end(body);
    });
    outgoing.once("response", (answer) => {
      answer.resume().once("end", () => resolve({ status: answer.statusCode, headers: answer.headers, continued }));
    });
    if (!headers.Expect) outgoing.end(body);
  });
}

test("Node: what the clients of phones write differently is taken", async (t) => {
  const scene = await startTus(t);
  const file = await makeFile(scene.files, "IMG_0001 ä.mov", 3 * MIB + 5, 1220);
  const bytes = await readFile(file.path);
  const authorization = { Authorization: `Bearer ${scene.key}` };
  const base64 = (text) => Buffer.from(text).toString("base64");

  // TUSKit: a space after the comma, and a field that nobody defines.
  const created = await exchange(`${scene.server.url}/files`, "POST", {
    ...authorization, "TUS-Resumable": "1.0.0", "Upload-Extension": "creation", "Upload-Length": file.size,
    "Upload-Metadata": `filename ${base64(file.name)}, filetype ${base64("video/quicktime")}`, "Content-Length": 0,
  });
  assert.equal(created.status, 201);
  const address = new URL(created.headers.location, scene.server.url);
  // tus-java-client: POST in place of PATCH, chunked, and it waits to be asked for the bytes.
  const sent = await exchange(address, "POST", {
    ...authorization, "Tus-Resumable": "1.0.0", "X-HTTP-Method-Override": "PATCH", "Upload-Offset": 0,
    "Content-Type": "application/offset+octet-stream", "Transfer-Encoding": "chunked", Expect: "100-continue",
  }, bytes);

  assert.deepEqual([sent.status, sent.headers["upload-offset"], sent.continued], [204, String(file.size), true]);
  await scene.assertArrived(file);
});

/** What stands in the buffers of the network when a client goes still arrives, and is far less than this file. */
const LARGE = 32 * MIB + 1;
const SLOW = 8 * MIB;
const ENOUGH = 4 * MIB;

test("Node: a program that is started again goes on where it was", async (t) => {
  const scene = await startTus(t);
  const file = await makeFile(scene.files, NAME, LARGE, 1202);
  const pipe = await CuttingPipe.start(scene.server.url, { bytesPerSecond: SLOW });
  t.after(() => pipe.stop());
  const requests = [];
  const begin = (options) => new tus.Upload(createReadStream(file.path), {
    endpoint: `${pipe.url}/files`, headers: { Authorization: `Bearer ${scene.key}` }, metadata: METADATA,
    urlStorage: new tus.FileUrlStorage(join(scene.folder, "urls")), retryDelays: null,
    onAfterResponse: (request, answer) =>
      requests.push([request.getMethod(), answer.getStatus(), Number(answer.getHeader("upload-offset") ?? 0)]),
    ...options,
  });
  const first = begin({});
  first.start();
  await until("a part of the file", () => pipe.sent > ENOUGH);
  await first.abort();
  const sent = pipe.sent;

  await new Promise((onSuccess, onError) => {
    const second = begin({ onSuccess, onError });
    second.findPreviousUploads().then(([previous]) => {
      second.resumeFromPreviousUpload(previous);
      second.start();
    }).catch(onError);
  });

  const [created, asked, rest] = requests;
  assert.deepEqual([created[0], created[1]], ["POST", 201]);
  assert.deepEqual([asked[0], asked[1]], ["HEAD", 200]);
  assert.ok(asked[2] > sent - MIB && asked[2] < LARGE, `${asked[2]} bytes were kept, ${sent} had arrived`);
  assert.deepEqual(rest, ["PATCH", 204, LARGE]);
  assert.equal(requests.length, 3);
  await scene.assertArrived(file);
});

/** Runs in the page: begins to upload the chosen file, and does not wait for anything. */
function beginInPage({ endpoint, key, options }) {
  const [file] = document.querySelector("input").files;
  const upload = new globalThis.tus.Upload(file, {
    endpoint, headers: { Authorization: `Bearer ${key}` }, metadata: { filename: file.name }, ...options,
  });
  upload.start();
}

/** Runs in the page: goes on with the chosen file; what was asked and answered. */
function resumeInPage({ endpoint, key, options }) {
  const [file] = document.querySelector("input").files;
  const requests = [];
  return new Promise((resolve) => {
    const upload = new globalThis.tus.Upload(file, {
      endpoint, headers: { Authorization: `Bearer ${key}` }, metadata: { filename: file.name },
      onAfterResponse: (request, answer) =>
        requests.push([request.getMethod(), answer.getStatus(), Number(answer.getHeader("upload-offset") ?? 0)]),
      onSuccess: () => resolve({ requests }),
      onError: (error) => resolve({ requests, error: String(error) }),
      ...options,
    });
    upload.findPreviousUploads().then((previous) => {
      if (previous.length !== 1) return resolve({ error: `${previous.length} uploads are remembered` });
      upload.resumeFromPreviousUpload(previous[0]);
      upload.start();
    });
  });
}

test("Chromium: after a reload of the page only what is missing is sent", async (t) => {
  const scene = await startTus(t);
  const page = await scene.page();
  const ways = [
    { name: "tus", options: {} },
    { name: "tus, three at once", options: { parallelUploads: 3 }, parts: 3 },
    { name: "ietf-draft-05", options: { protocol: "ietf-draft-05" } },
    { name: "ietf-draft-03", options: { protocol: "ietf-draft-03" } },
  ];
  for (const [index, { name, options, parts = 1 }] of ways.entries()) {
    await t.test(name, { timeout: 60_000 }, async (t) => {
      const file = await makeFile(scene.files, `${name}.bin`, LARGE, 1203 + index);
      const pipe = await CuttingPipe.start(scene.server.url, { bytesPerSecond: SLOW / parts });
      t.after(() => pipe.stop());
      const order = { endpoint: `${pipe.url}/files`, key: scene.key, options };
      await page.locator("input").setInputFiles(file.path);
      await page.evaluate(beginInPage, order);
      await until("a part of the file", () => pipe.sent > ENOUGH);

      const sent = pipe.sent;
      await page.reload();
      await page.locator("input").setInputFiles(file.path);
      const { requests, error } = await page.evaluate(resumeInPage, order);

      assert.equal(error, undefined, JSON.stringify(requests));
      const asked = requests.filter(([method]) => method === "HEAD");
      assert.ok(asked.every(([, status]) => status === 200 || status === 204), JSON.stringify(requests));
      const kept = asked.reduce((sum, [, , offset]) => sum + offset, 0);
      assert.equal(asked.length, parts);
      assert.ok(kept > sent - MIB && kept < LARGE, `${kept} bytes were kept, ${sent} had arrived`);
      const created = requests.filter(([method]) => method === "POST").length;
      assert.equal(created, parts > 1 ? 1 : 0, "only the joining is a POST");
      await scene.assertArrived(file);
    });
  }
});

/** Runs in the page: begins an upload in chunks, ends it at `when`, and looks whether it is gone. */
function terminateInPage({ endpoint, key, when, options }) {
  const [file] = document.querySelector("input").files;
  const headers = { Authorization: `Bearer ${key}` };
  return new Promise((resolve) => {
    const end = (url, done) => done
      .then(() => fetch(url, { method: "HEAD", headers: { ...headers, "Tus-Resumable": "1.0.0" } }))
      .then((answer) => resolve({ status: answer.status, offset: answer.headers.get("Upload-Offset") }))
      .catch((error) => resolve({ error: String(error) }));
    const upload = new globalThis.tus.Upload(file, {
      endpoint, headers, chunkSize: 1 << 20, metadata: { filename: file.name }, ...options,
      onChunkComplete: () => when === "middle" && end(upload.url, upload.abort(true)),
      onSuccess: () => when === "end" && end(upload.url, globalThis.tus.Upload.terminate(upload.url, { headers })),
      onError: (error) => resolve({ error: String(error) }),
    });
    upload.start();
  });
}

test("Chromium: a terminated upload is gone, whole or not", async (t) => {
  const scene = await startTus(t);
  const page = await scene.page();
  const file = await makeFile(scene.files, "never.bin", SIZE, 1210);
  await page.locator("input").setInputFiles(file.path);
  for (const protocol of ["tus-v1", "ietf-draft-05", "ietf-draft-03"]) {
    for (const when of ["middle", "end"]) {
      await t.test(`${protocol}, at its ${when}`, { timeout: 60_000 }, async () => {
        const order = { endpoint: `${scene.server.url}/files`, key: scene.key, when, options: { protocol } };
        const { status, offset, error } = await page.evaluate(terminateInPage, order);
        assert.equal(error, undefined);
        assert.ok(status === 404 || status === 410, String(status));
        assert.equal(offset, null);
        await scene.assertNothingArrived();
      });
    }
  }
});

/** Runs in the page: uploads a few bytes and tells what the page can see of the refusal. */
function refusedInPage({ endpoint, headers, size }) {
  let requests = 0;
  return new Promise((resolve) => {
    const upload = new globalThis.tus.Upload(new Blob(["some bytes"]), {
      endpoint, headers, retryDelays: [0, 0], ...(size && { uploadSize: size }),
      onBeforeRequest: () => (requests += 1),
      onSuccess: () => resolve({}),
      onError: ({ originalResponse: answer }) =>
        resolve({ status: answer?.getStatus(), text: answer?.getBody(), version: answer?.getHeader("Tus-Resumable"), requests }),
    });
    upload.start();
  });
}

test("Chromium: a page of another site reads why it is refused, and does not try again", async (t) => {
  const scene = await startTus(t, { settings: { MULETEER_LIMITS__MAX_SIZE: MIB, MULETEER_AUTH__ANONYMOUS: "off" } });
  const page = await scene.page();
  const endpoint = `${scene.server.url}/files`;
  const headers = { Authorization: `Bearer ${scene.key}` };
  const cases = [
    { name: "without a key", order: { endpoint, headers: {} }, statuses: [401, 403] },
    { name: "with a wrong key", order: { endpoint, headers: { Authorization: "Bearer nobody's key" } }, statuses: [401, 403] },
    { name: "with too large a file", order: { endpoint, headers, size: MIB + 1 }, statuses: [413] },
  ];
  for (const { name, order, statuses } of cases) {
    await t.test(name, { timeout: 60_000 }, async () => {
      const { status, text, version, requests } = await page.evaluate(refusedInPage, order);
      assert.ok(statuses.includes(status), `${status} ${text}`);
      assert.ok(text);
      assert.equal(version, "1.0.0");
      assert.equal(requests, 1);
      await scene.assertNothingArrived();
    });
  }
});
