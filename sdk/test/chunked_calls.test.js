import assert from "node:assert/strict";
import { test } from "node:test";
import { ChunkedUploader, ChunkedUploaderError } from "../src/index.js";
import { bytes, chunkScene } from "./support/chunk_scene.js";
import { refusal } from "./support/chunk_server.js";
import { until } from "./support/environment.js";

test("an upload can be walked through by hand", async (t) => {
  const { server, uploader } = await chunkScene(t);
  const own = uploader();
  const content = bytes(1500);

  const init = await own.initUpload("videos/2024/x.mp4", 1500, "https://hooks.example/");
  const part = await own.uploadPart(init.file_id, 1, init.parts[1].token, content.subarray(1000));
  const middle = await own.getStatus(init.file_id);
  await own.uploadPart(init.file_id, 0, init.parts[0].token, new Blob([content.subarray(0, 1000)]));
  const complete = await own.completeUpload(init.file_id);

  assert.deepEqual(init.parts.map(({ part: number }) => number), [0, 1]);
  assert.equal(server.requests[0].body.webhook_url, "https://hooks.example/");
  assert.equal(part.part_number, 1);
  assert.deepEqual(middle.parts.map(({ status }) => status), ["pending", "uploaded"]);
  assert.equal(complete.final_path, `./uploads/videos/2024/${init.file_id}_x.mp4`);
  assert.ok(server.bytes().equals(content));
});

test("a cancelled upload is gone", async (t) => {
  const { uploader } = await chunkScene(t);
  const own = uploader();
  const { file_id: id } = await own.initUpload("x", 10);

  assert.equal((await own.cancelUpload(id)).status, "cancelled");

  await assert.rejects(own.getStatus(id), { statusCode: 404, code: "not_found", details: { id } });
  await assert.rejects(own.cancelUpload(id), { statusCode: 404 });
});

test("health needs no key", async (t) => {
  const { server, uploader } = await chunkScene(t);

  const health = await uploader().healthCheck();

  assert.equal(health.status, "OK");
  assert.equal(server.requests[0].headers["x-api-key"], undefined);
});

test("a server that is not well is an error", async (t) => {
  const { uploader } = await chunkScene(t, { onCall: () => ({ status: 503, body: { status: "DEGRADED" } }) });

  await assert.rejects(uploader().healthCheck(), { name: "ChunkedUploaderError", statusCode: 503 });
});

test("a wrong key is told as it is, and is not tried again", async (t) => {
  const { server, uploader } = await chunkScene(t);
  const stranger = uploader({ apiKey: "wrong" });

  await assert.rejects(stranger.initUpload("x", 1), { statusCode: 401, message: "This key is not good." });
  await assert.rejects(stranger.completeUpload("0b0e7f9c-1111-4222-8333-444455556666"), { statusCode: 401 });

  assert.equal(server.requests.length, 2);
});

test("management calls are given up after 30 seconds, or as long as told", async (t) => {
  for (const [config, limit] of [[{}, 30_000], [{ timeout: 500 }, 500]]) {
    const { world, server, uploader } = await chunkScene(t, { onCall: () => "hang" });
    const status = uploader(config).getStatus("some");
    const outcome = status.then(() => "answered", (error) => error);
    await until(() => server.requests.length === 1);

    world.advance(limit - 1);
    const soon = new Promise((resolve) => setTimeout(resolve, 20, "waiting"));
    assert.equal(await Promise.race([outcome, soon]), "waiting");
    world.advance(1);

    const error = await outcome;
    assert.ok(error instanceof ChunkedUploaderError);
    assert.equal(error.code, "timeout");
    assert.match(error.message, new RegExp(`${limit} ms`));
  }
});

test("a part has no time limit", async (t) => {
  let release;
  const { world, server, uploader } = await chunkScene(t, {
    onPart: () => new Promise((resolve) => (release = resolve)),
  });
  const upload = uploader().uploadFile(bytes(10));
  await until(() => release);

  world.advance(24 * 3_600_000);
  release();

  assert.equal((await upload).success, true);
  assert.deepEqual(server.stored, [0]);
});

test("nor has it one on the platform's own clock", async (t) => {
  const { server } = await chunkScene(t, { onPart: () => new Promise((resolve) => setTimeout(resolve, 50)) });

  const result = await new ChunkedUploader({ baseUrl: server.url, apiKey: server.key }).uploadFile(bytes(10));

  assert.equal(result.success, true);
  assert.equal(server.count("PUT part 0"), 1);
});

test("a server that is not there is a network error without a status", async (t) => {
  const { server, uploader } = await chunkScene(t);
  await server.close();
  server.close = async () => {};

  await assert.rejects(uploader().getStatus("some"), (error) => {
    assert.ok(error instanceof ChunkedUploaderError);
    assert.equal(error.code, "network");
    assert.equal(error.statusCode, undefined);
    assert.ok(error.cause);
    return true;
  });
});

test("an error page of a proxy still tells the status", async (t) => {
  const { uploader } = await chunkScene(t, { onCall: () => ({ status: 413, text: "<html>Too large</html>" }) });

  await assert.rejects(uploader().initUpload("x", 1), { statusCode: 413, message: /status 413/ });
});

test("an answer that is no JSON is named as such", async (t) => {
  const { uploader } = await chunkScene(t, { onCall: () => ({ status: 200, text: "<html>Log in</html>" }) });

  await assert.rejects(uploader().getStatus("some"), { code: "bad-answer", statusCode: 200 });
});

test("every call can be stopped by a signal", async (t) => {
  const { server, uploader } = await chunkScene(t, { onCall: () => "hang", onPart: () => "hang" });
  const own = uploader();
  const calls = [
    (signal) => own.initUpload("x", 1, undefined, signal),
    (signal) => own.uploadPart("some", 0, "token", bytes(1), signal),
    (signal) => own.getStatus("some", signal),
    (signal) => own.completeUpload("some", signal),
    (signal) => own.cancelUpload("some", signal),
    (signal) => own.healthCheck(signal),
  ];

  for (const [index, call] of calls.entries()) {
    const stop = new AbortController();
    const outcome = assert.rejects(call(stop.signal), { name: "AbortError" });
    await until(() => server.requests.length === index + 1);
    stop.abort();
    await outcome;
  }
});
