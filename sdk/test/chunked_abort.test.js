import assert from "node:assert/strict";
import { test } from "node:test";
import { ChunkedUploaderError } from "../src/index.js";
import { bytes, chunkScene, listening } from "./support/chunk_scene.js";
import { refusal } from "./support/chunk_server.js";
import { until } from "./support/environment.js";

const isBetween = (error) =>
  error instanceof ChunkedUploaderError && error.message === "Upload aborted" && error.code === "aborted";

test("an abort during a part is the platform's own error, and the upload can be resumed", async (t) => {
  const { server, uploader } = await chunkScene(t, { onPart: ({ number }) => (number === 1 ? "hang" : undefined) });
  const stop = new AbortController();
  const hooks = listening();
  const upload = uploader({ concurrency: 1 }).uploadFile(bytes(3000), { ...hooks, signal: stop.signal });
  await until(() => server.count("PUT part 1") === 1);
  stop.abort();

  const result = await upload;

  assert.equal(result.success, false);
  assert.equal(result.error.name, "AbortError");
  assert.deepEqual(hooks.heard.errors, [], "an abort is no failure of the part");
  assert.deepEqual(hooks.heard.parts.map(({ partNumber }) => partNumber), [0]);
  assert.equal(server.count("DELETE /upload/ID"), 0);
  assert.equal(server.count("POST /upload/ID/complete"), 0);

  server.onPart = () => {};
  const again = await uploader().resumeUpload(result.fileId, bytes(3000));
  assert.equal(again.success, true);
  assert.deepEqual([...server.stored].sort(), [0, 1, 2], "every part once");
});

test("an abort between two parts says so", async (t) => {
  const { server, uploader } = await chunkScene(t);
  const stop = new AbortController();

  const result = await uploader({ concurrency: 1 }).uploadFile(bytes(3000), {
    signal: stop.signal, onPartComplete: () => stop.abort(),
  });

  assert.ok(isBetween(result.error));
  assert.deepEqual(server.stored, [0]);
  assert.equal(result.fileId, server.upload.id);
});

test("an abort after the last part leaves the end undone", async (t) => {
  const { server, uploader } = await chunkScene(t);
  const stop = new AbortController();

  const { error } = await uploader().uploadFile(bytes(10), { signal: stop.signal, onProgress: () => stop.abort() });

  assert.ok(isBetween(error));
  assert.equal(server.count("POST /upload/ID/complete"), 0);
});

test("an abort ends a pause at once", async (t) => {
  const { world, uploader } = await chunkScene(t, { onPart: () => refusal(500, "Broken.") });
  world.pausesPassByThemselves = false;
  const stop = new AbortController();
  const upload = uploader().uploadFile(bytes(10), { signal: stop.signal });
  await until(() => world.pauses.length === 1);
  stop.abort();

  assert.ok(isBetween((await upload).error));
});

test("an abort ends the waiting for a server that is finishing", async (t) => {
  const { world, server, uploader } = await chunkScene(t, {
    onCall: ({ route }) =>
      route.endsWith("/complete")
        ? refusal(503, "Still at it.", "finalizing", undefined, { "Retry-After": "5" })
        : undefined,
  });
  world.pausesPassByThemselves = false;
  const stop = new AbortController();
  const upload = uploader().uploadFile(bytes(10), { signal: stop.signal });
  await until(() => world.pauses.length === 1);
  stop.abort();

  assert.ok(isBetween((await upload).error));
  assert.equal(server.count("POST /upload/ID/complete"), 1);
});

test("an abort while tokens are replaced is no refusal", async (t) => {
  const { server, uploader } = await chunkScene(t, {
    onPart: () => refusal(401, "Expired."), onCall: ({ route }) => (route.endsWith("/status") ? "hang" : undefined),
  });
  const stop = new AbortController();
  const upload = uploader().uploadFile(bytes(10), { signal: stop.signal });
  await until(() => server.count("GET /upload/ID/status") === 1);
  stop.abort();

  assert.ok(isBetween((await upload).error));
});

test("what is aborted before it begins asks for nothing", async (t) => {
  const { server, uploader } = await chunkScene(t);
  const signal = AbortSignal.abort();

  await assert.rejects(uploader().uploadFile(bytes(10), { signal }), isBetween);
  await assert.rejects(uploader().resumeUpload("some", bytes(10), { signal }), isBetween);

  assert.equal(server.requests.length, 0);
});

test("an abort while the upload is begun is thrown, as every failure there", async (t) => {
  const { server, uploader } = await chunkScene(t, { onCall: () => "hang" });
  const stop = new AbortController();
  const thrown = assert.rejects(uploader().uploadFile(bytes(10), { signal: stop.signal }), { name: "AbortError" });
  await until(() => server.requests.length === 1);
  stop.abort();

  await thrown;
});

test("a signal aborted with a word of its own still gives an Error", async (t) => {
  const { server, uploader } = await chunkScene(t, { onPart: () => "hang" });
  const stop = new AbortController();
  const upload = uploader().uploadFile(bytes(10), { signal: stop.signal });
  await until(() => server.count("PUT part 0") === 1);
  stop.abort("enough");

  const { error } = await upload;

  assert.ok(error instanceof Error);
  assert.match(error.message, /enough/);
});
