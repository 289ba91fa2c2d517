import assert from "node:assert/strict";
import { test } from "node:test";
import { bytes, chunkScene, fileOf, listening } from "./support/chunk_scene.js";
import { pathOf, refusal } from "./support/chunk_server.js";

const NOTHING = "0b0e7f9c-1111-4222-8333-444455556666";

test("a new instance goes on with the id alone", async (t) => {
  const { server, uploader } = await chunkScene(t, {
    onPart: ({ number }) => (number === 1 ? refusal(500, "Broken.") : undefined),
  });
  const content = bytes(2500);
  const first = await uploader().uploadFile(content);
  server.onPart = () => {};
  const hooks = listening();

  const result = await uploader().resumeUpload(first.fileId, content, hooks);

  assert.equal(first.success, false);
  assert.deepEqual(result, {
    fileId: first.fileId, filename: "file", totalSize: 2500, finalPath: pathOf(server.upload), storageBackend: "local",
    success: true,
  });
  assert.deepEqual([...server.stored].sort(), [0, 1, 2], "every part once");
  assert.ok(server.bytes().equals(content));
  const [event, ...others] = hooks.heard.progress;
  assert.deepEqual([event.currentPart, event.uploadedParts, event.totalParts], [1, 3, 3]);
  assert.deepEqual(others, []);
});

test("a folder name is begun with initUpload and sent with resumeUpload", async (t) => {
  const { server, uploader } = await chunkScene(t);
  const content = bytes(2500);
  const own = uploader();
  const init = await own.initUpload("videos/2024/x.mp4", content.length);

  const result = await own.resumeUpload(init.file_id, await fileOf(content, "clip.mp4"), {
    partTokens: new Map(init.parts.map(({ part, token }) => [part, token])),
  });

  assert.equal(result.success, true);
  assert.equal(result.filename, "x.mp4", "the name that the server has");
  assert.equal(result.finalPath, `./uploads/videos/2024/${init.file_id}_x.mp4`);
  assert.ok(server.bytes().equals(content));
});

test("tokens that the application kept are the ones that are used", async (t) => {
  const used = [];
  const { uploader } = await chunkScene(t, { onPart: ({ token }) => void used.push(token) });
  const own = uploader();
  const init = await own.initUpload("x", 1500);

  await own.resumeUpload(init.file_id, bytes(1500), {
    partTokens: new Map(init.parts.map(({ part, token }) => [part, token])),
  });

  assert.deepEqual([...used].sort(), init.parts.map(({ token }) => token).sort());
});

test("tokens that the application lacks are taken from the status", async (t) => {
  const { server, uploader } = await chunkScene(t);
  const own = uploader();
  const init = await own.initUpload("x", 2500);

  const partTokens = new Map([[0, init.parts[0].token]]);
  const result = await own.resumeUpload(init.file_id, bytes(2500), { partTokens });

  assert.equal(result.success, true);
  assert.equal(server.count("GET /upload/ID/status"), 1);
});

test("a server that keeps tokens to itself needs partTokens, and the error says so", async (t) => {
  const { server, uploader } = await chunkScene(t, { handsOutTokens: false });
  const own = uploader();
  const init = await own.initUpload("x", 2500);
  const resume = (options) => own.resumeUpload(init.file_id, bytes(2500), options);
  const tokens = new Map(init.parts.map(({ part, token }) => [part, token]));

  await assert.rejects(resume(), { name: "ChunkedUploaderError", code: "tokens-missing", message: /partTokens/ });
  const some = new Map([[0, tokens.get(0)], [2, tokens.get(2)]]);
  await assert.rejects(resume({ partTokens: some }), { details: { parts: [1] } });
  assert.equal(server.stored.length, 0, "nothing is sent that could not be finished");

  assert.equal((await resume({ partTokens: tokens })).success, true);
});

test("the grid is the server's, not an even share", async (t) => {
  const { server, uploader } = await chunkScene(t);
  const content = bytes(2500);
  const own = uploader();
  const announced = await own.initUpload("x", 2500);
  const switched = await own.initUpload("y", 2500);
  server.uploads.get(switched.file_id).chunkSize = 834;

  assert.equal((await own.resumeUpload(announced.file_id, content)).success, true);
  assert.equal((await own.resumeUpload(switched.file_id, content)).success, true);

  const lengths = (id) => server.uploads.get(id).parts.map((part) => part.bytes.length);
  assert.deepEqual(lengths(announced.file_id), [1000, 1000, 500]);
  assert.deepEqual(lengths(switched.file_id), [834, 834, 832]);
  assert.ok(server.bytes(server.uploads.get(switched.file_id)).equals(content));
});

test("a status without a chunk size means the even share", async (t) => {
  const { server, uploader } = await chunkScene(t);
  const own = uploader();
  const { file_id: id } = await own.initUpload("x", 2500);
  const status = await own.getStatus(id);
  server.upload.chunkSize = 834;
  const older = { status: 200, body: { ...status, chunk_size: undefined } };
  server.onCall = ({ route }) => (route.endsWith("/status") ? older : undefined);

  assert.equal((await own.resumeUpload(id, bytes(2500))).success, true);
});

test("a file of another size is refused before anything is sent, also when the upload is complete", async (t) => {
  const { server, uploader } = await chunkScene(t);
  const own = uploader();
  const { file_id: open } = await own.initUpload("x", 2500);
  const { fileId: complete } = await own.uploadFile(bytes(2500));
  const before = server.stored.length;

  for (const id of [open, complete]) {
    await assert.rejects(own.resumeUpload(id, bytes(2499)), {
      name: "ChunkedUploaderError", code: "size-mismatch", message: /2499.*2500/,
      details: { expected: 2500, actual: 2499 },
    });
  }
  assert.equal(server.stored.length, before);
});

test("a complete upload is a success at once", async (t) => {
  const { server, uploader } = await chunkScene(t);
  const done = await uploader().uploadFile(bytes(2500));
  const before = server.requests.length;

  const again = await uploader().resumeUpload(done.fileId, bytes(2500));

  assert.deepEqual(again, done);
  assert.equal(server.requests.length, before + 1, "nothing but the status");
});

test("an upload that only lacks its end gets it", async (t) => {
  const { server, uploader } = await chunkScene(t, {
    onCall: ({ route }) => (route.endsWith("/complete") ? refusal(400, "Not now.") : undefined),
  });
  const first = await uploader().uploadFile(bytes(2500));
  server.onCall = () => {};
  const again = await uploader().resumeUpload(first.fileId, bytes(2500));

  assert.equal(first.success, false);
  assert.equal(again.success, true);
  assert.deepEqual([...server.stored].sort(), [0, 1, 2]);
});

test("an empty upload can be resumed, too", async (t) => {
  const { uploader } = await chunkScene(t);
  const { file_id: id } = await uploader().initUpload("folder/empty", 0);

  assert.equal((await uploader().resumeUpload(id, new Blob([]))).success, true);
});

test("an unknown upload is thrown as what it is", async (t) => {
  const { uploader } = await chunkScene(t);

  await assert.rejects(uploader().resumeUpload(NOTHING, bytes(1)), { statusCode: 404 });
});

test("a status without parts is an error that can be read", async (t) => {
  const { server, uploader } = await chunkScene(t);
  const own = uploader();
  const { file_id: id } = await own.initUpload("x", 10);
  const status = await own.getStatus(id);
  server.onCall = () => ({ status: 200, body: { ...status, parts: null } });

  await assert.rejects(own.resumeUpload(id, bytes(10)), { name: "ChunkedUploaderError", code: "parts-unknown" });
});

test("a resume works at the instance's concurrency or its own", async (t) => {
  const { server, uploader } = await chunkScene(t, {
    chunkSize: 10, onPart: () => new Promise((resolve) => setTimeout(resolve, 20)),
  });
  for (const [options, expected] of [[{}, 3], [{ concurrency: 6 }, 6]]) {
    server.mostPartsAtOnce = 0;
    const { file_id: id } = await uploader().initUpload("x", 100);
    await uploader().resumeUpload(id, bytes(100), options);
    assert.equal(server.mostPartsAtOnce, expected);
  }
});
