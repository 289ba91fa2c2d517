import assert from "node:assert/strict";
import { test } from "node:test";
import { ChunkedUploader, ChunkedUploaderError } from "../src/index.js";
import { bytes, chunkScene, fileOf, listening } from "./support/chunk_scene.js";
import { pathOf, refusal } from "./support/chunk_server.js";

test("a file goes up in parts and the result tells where it is", async (t) => {
  const { server, uploader } = await chunkScene(t);
  const content = bytes(2500);

  const result = await uploader().uploadFile(await fileOf(content, "film.mp4"));

  assert.deepEqual(result, {
    fileId: server.upload.id, filename: "film.mp4", totalSize: 2500, finalPath: pathOf(server.upload),
    storageBackend: "local", success: true,
  });
  assert.ok(server.bytes().equals(content));
  assert.deepEqual(server.upload.parts.map((part) => part.bytes.length), [1000, 1000, 500]);
});

test("a whole number of chunks has no short last part", async (t) => {
  const { server, uploader } = await chunkScene(t);

  await uploader().uploadFile(bytes(3000));

  assert.deepEqual(server.upload.parts.map((part) => part.bytes.length), [1000, 1000, 1000]);
});

test("an empty file has no parts and is complete all the same", async (t) => {
  const { server, uploader } = await chunkScene(t);
  const hooks = listening();

  const result = await uploader().uploadFile(new Blob([]), hooks);

  assert.equal(result.success, true);
  assert.deepEqual(server.requests.map(({ route }) => route), ["POST /upload/init", "POST /upload/ID/complete"]);
  assert.deepEqual(hooks.heard.progress, []);
});

test("every kind of source arrives as it is, and only files have a name of their own", async (t) => {
  const { server, uploader } = await chunkScene(t);
  const content = bytes(1700);
  const window = Buffer.concat([Buffer.alloc(300, 1), content, Buffer.alloc(300, 2)]).subarray(300, 2000);
  const sources = [
    [await fileOf(content, "héllo wörld 漢.bin"), "héllo wörld 漢.bin"],
    [new Blob([content]), "blob"],
    [Uint8Array.from(content).buffer, "file"],
    [window, "file"],
    [new Uint8Array(window.buffer, window.byteOffset, window.length), "file"],
  ];

  for (const [source, name] of sources) {
    const { fileId, filename } = await uploader().uploadFile(source);
    assert.equal(filename, name);
    assert.equal(server.uploads.get(fileId).filename, name);
    assert.ok(server.bytes(server.uploads.get(fileId)).equals(content));
  }
});

test("what is no file is refused before anything is asked", async (t) => {
  const { server, uploader } = await chunkScene(t);

  await assert.rejects(uploader().uploadFile("a path"), { code: "unsupported-source" });

  assert.equal(server.requests.length, 0);
});

test("a blob is only ever read slice by slice", async (t) => {
  const { uploader } = await chunkScene(t);
  const cuts = [];
  class Watched extends Blob {
    arrayBuffer = () => assert.fail("read whole");
    stream = () => assert.fail("read whole");
    slice(start, end) {
      cuts.push([start, end]);
      return new Blob([bytes(2500).subarray(start, end)]);
    }
  }

  const result = await uploader({ concurrency: 1 }).uploadFile(new Watched([bytes(2500)]));

  assert.equal(result.success, true);
  assert.deepEqual(cuts, [[0, 1000], [1000, 2000], [2000, 2500]]);
});

test("requests carry what the server needs and nothing more", async (t) => {
  const { server, uploader } = await chunkScene(t);

  await uploader({ baseUrl: `${server.url}/` }).uploadFile(bytes(10), { webhookUrl: "https://hooks.example/done" });

  const [init, part, complete] = server.requests;
  assert.deepEqual(init.body, { filename: "file", total_size: 10, webhook_url: "https://hooks.example/done" });
  assert.match(init.headers["content-type"], /^application\/json/);
  assert.equal(init.headers["x-api-key"], "secret-key");
  assert.equal(part.headers.authorization, "Bearer token-1");
  assert.equal(part.headers["content-type"], "application/octet-stream");
  assert.equal(part.headers["content-length"], "10");
  assert.equal(part.headers["x-api-key"], undefined, "the key stays out of what a token can do");
  assert.equal(complete.headers["x-api-key"], "secret-key");
  assert.equal(complete.body, undefined);
});

test("without a webhook none is mentioned", async (t) => {
  const { server, uploader } = await chunkScene(t);

  await uploader().uploadFile(bytes(1));

  assert.deepEqual(server.requests[0].body, { filename: "file", total_size: 1 });
});

test("three parts go at once, or as many as the instance or the file is told", async (t) => {
  const { server, uploader } = await chunkScene(t, {
    chunkSize: 10, onPart: () => new Promise((resolve) => setTimeout(resolve, 20)),
  });
  const five = { concurrency: 5 };
  const cases = [[{}, {}, 3], [five, {}, 5], [five, { concurrency: 2 }, 2], [{}, { concurrency: 0 }, 1]];

  for (const [config, options, expected] of cases) {
    server.mostPartsAtOnce = 0;
    await uploader(config).uploadFile(bytes(100), options);
    assert.equal(server.mostPartsAtOnce, expected, JSON.stringify([config, options]));
  }
});

test("progress is told once for every part that arrived", async (t) => {
  const { server, uploader } = await chunkScene(t);
  const hooks = listening();

  await uploader({ concurrency: 1 }).uploadFile(bytes(2500), hooks);

  const fileId = server.upload.id;
  const event = (currentPart, size, overallProgress) => ({
    fileId, currentPart, totalParts: 3, uploadedParts: currentPart + 1, bytesUploaded: size, bytesTotal: size,
    overallProgress,
  });
  assert.deepEqual(hooks.heard.progress, [
    event(0, 1000, (1 / 3) * 100), event(1, 1000, (2 / 3) * 100), event(2, 500, 100),
  ]);
  const told = hooks.heard.parts.map(({ partNumber, success }) => [partNumber, success]);
  assert.deepEqual(told, [[0, true], [1, true], [2, true]]);
  assert.equal(hooks.heard.parts[2].response.uploaded_parts, 3);
  assert.equal(hooks.heard.parts[2].response.upload_id, fileId);
  assert.deepEqual(hooks.heard.errors, []);
});

test("the id is known before the first part leaves", async (t) => {
  const heard = [];
  const { server, uploader } = await chunkScene(t, { onPart: () => void heard.push("part") });

  await uploader().uploadFile(bytes(10), { onInit: (init) => heard.push(init.file_id) });

  assert.deepEqual(heard, [server.upload.id, "part"]);
});

test("a callback that throws costs nothing but a line on the console", async (t) => {
  const { uploader } = await chunkScene(t);
  const reported = t.mock.method(console, "error", () => {});
  const broken = () => {
    throw new Error("a mistake of the application");
  };

  const hooks = { onInit: broken, onProgress: broken, onPartComplete: broken };
  const result = await uploader().uploadFile(bytes(10), hooks);

  assert.equal(result.success, true);
  assert.equal(reported.mock.callCount(), 3);
});

test("an instance without an address or a key cannot be made", () => {
  for (const config of [undefined, {}, { apiKey: "k" }, { baseUrl: "http://x" }, { baseUrl: "http://x", apiKey: "" }]) {
    assert.throws(() => new ChunkedUploader(config), ChunkedUploaderError);
  }
  assert.throws(() => new ChunkedUploader({ baseUrl: "http://x" }), /apiKey/);
  assert.throws(() => new ChunkedUploader({ apiKey: "k" }), /baseUrl/);
});

test("every request goes through the fetch that was handed in", async (t) => {
  const { server, uploader } = await chunkScene(t);
  const seen = [];
  const counting = function (input, init) {
    seen.push([init.method, this]);
    return fetch(input, init);
  };
  const own = uploader({ fetch: counting });

  const { fileId } = await own.uploadFile(bytes(1500));
  await own.getStatus(fileId);
  await own.cancelUpload(fileId);
  await own.healthCheck();

  assert.equal(seen.length, server.requests.length);
  assert.equal(seen.length, 7);
  assert.ok(seen.every(([, self]) => self === undefined), "called as the platform's own is, without a receiver");
});

test("a refused beginning is thrown, with what the server said", async (t) => {
  const { uploader } = await chunkScene(t, {
    onCall: () => refusal(400, "This name climbs out.", "bad_name", { member: "filename" }),
  });

  await assert.rejects(uploader().uploadFile(bytes(1)), (error) => {
    assert.ok(error instanceof ChunkedUploaderError && error instanceof Error);
    assert.equal(error.name, "ChunkedUploaderError");
    const { message, statusCode, code, details } = error;
    assert.deepEqual({ message, statusCode, code, details }, {
      message: "This name climbs out.", statusCode: 400, code: "bad_name", details: { member: "filename" },
    });
    return true;
  });
});
