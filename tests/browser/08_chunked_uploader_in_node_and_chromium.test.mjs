// The kit as the chunk server's SDK, against the real program: in Node, and in a page of another site that loads the
// kit from the server. What was uploaded is read back from the folder of finished files.

import assert from "node:assert/strict";
import { File } from "node:buffer";
import { readFile } from "node:fs/promises";
import { test } from "node:test";
import { ChunkedUploader, ChunkedUploaderError } from "../../sdk/src/index.js";
import { CHUNK_SIZE, startChunkServer } from "./support/chunks.mjs";
import { makeFile } from "./support/files.mjs";
import { MIB } from "./support/stack.mjs";

/** Five parts, the last of them short: no whole multiple, so the announced grid and the even share differ. */
const SIZE = 20 * MIB + 123_457;
const PARTS = Math.ceil(SIZE / CHUNK_SIZE);

/** A server, a file, and instances that know nothing of each other. */
async function scene(t, seed) {
  const chunks = await startChunkServer(t);
  const file = await makeFile(chunks.files, "film.mp4", SIZE, seed);
  const uploader = (more = {}) => new ChunkedUploader({ baseUrl: chunks.server.url, apiKey: chunks.key, ...more });
  return { chunks, file, uploader, bytes: await readFile(file.path) };
}

/** A `fetch` that writes down the numbers of the parts that it is asked to send. */
function recording() {
  const sent = [];
  const recorder = (url, init) => {
    const part = /\/part\/(\d+)$/.exec(url);
    if (part) sent.push(Number(part[1]));
    return fetch(url, init);
  };
  return { sent, fetch: recorder };
}

test("Node: a file of five parts arrives byte for byte", async (t) => {
  const { chunks, file, uploader, bytes } = await scene(t, 81);
  const progress = [];

  const result = await uploader().uploadFile(new File([bytes], "héllo wörld 漢.mp4"), {
    onProgress: (event) => progress.push(event),
  });

  assert.equal(result.error, undefined);
  assert.equal(result.storageBackend, "local");
  assert.ok(result.finalPath.endsWith(`files/${result.fileId}_héllo wörld 漢.mp4`), result.finalPath);
  await chunks.assertArrived(result.finalPath, file);
  assert.deepEqual(progress.map(({ uploadedParts, totalParts }) => [uploadedParts, totalParts]),
    [1, 2, 3, 4, 5].map((count) => [count, PARTS]));
  assert.equal(progress.reduce((sum, { bytesUploaded }) => sum + bytesUploaded, 0), SIZE);
  assert.equal((await uploader().getStatus(result.fileId)).status, "complete");
});

test("Node: a folder name is begun with initUpload and sent with resumeUpload", async (t) => {
  const { chunks, file, uploader, bytes } = await scene(t, 82);
  const init = await uploader().initUpload("videos/2024/x.mp4", SIZE);

  const result = await uploader().resumeUpload(init.file_id, bytes, {});

  assert.equal(result.error, undefined);
  assert.deepEqual([init.total_parts, init.chunk_size, init.parts.length], [PARTS, CHUNK_SIZE, PARTS]);
  assert.ok(result.finalPath.endsWith(`videos/2024/${init.file_id}_x.mp4`), result.finalPath);
  await chunks.assertArrived(result.finalPath, file);
});

test("Node: after an abort half way a new instance sends only what is missing", async (t) => {
  const { chunks, file, uploader, bytes } = await scene(t, 83);
  const stop = new AbortController();
  const first = await uploader({ concurrency: 1 }).uploadFile(bytes, {
    signal: stop.signal, onProgress: ({ uploadedParts }) => uploadedParts === 2 && stop.abort(),
  });
  const { sent, fetch } = recording();

  const second = await uploader({ fetch }).resumeUpload(first.fileId, bytes);

  assert.equal(first.success, false);
  assert.equal(first.error.message, "Upload aborted");
  assert.equal(second.error, undefined);
  assert.deepEqual(sent.sort(), [2, 3, 4]);
  await chunks.assertArrived(second.finalPath, file);
});

test("Node: tokens that are no good are replaced through the status", async (t) => {
  const { chunks, file, uploader, bytes } = await scene(t, 84);
  const { file_id: id } = await uploader().initUpload("old tokens.bin", SIZE);
  const partTokens = new Map(Array.from({ length: PARTS }, (_, part) => [part, "not.a.token"]));

  const result = await uploader().resumeUpload(id, bytes, { partTokens });

  assert.equal(result.error, undefined);
  await chunks.assertArrived(result.finalPath, file);
});

test("Node: slices of the even share, as the published SDK resumes, are put together right", async (t) => {
  const { chunks, file, uploader, bytes } = await scene(t, 85);
  const own = uploader();
  const init = await own.initUpload("videos/even.mp4", SIZE);
  const share = Math.ceil(SIZE / init.total_parts);

  const slice = (part) => bytes.subarray(part * share, (part + 1) * share);
  const put = ({ part, token }) => own.uploadPart(init.file_id, part, token, slice(part));
  const answers = await Promise.all(init.parts.map(put));
  const complete = await own.completeUpload(init.file_id);

  assert.equal(Math.max(...answers.map(({ uploaded_parts: count }) => count)), PARTS);
  assert.equal((await own.getStatus(init.file_id)).chunk_size, share);
  await chunks.assertArrived(complete.final_path, file);
});

test("Node: a part sent twice is one part, other bytes in its place are a conflict", async (t) => {
  const { uploader, bytes } = await scene(t, 86);
  const own = uploader();
  const init = await own.initUpload("twice.bin", SIZE);
  const { token } = init.parts[0];
  const send = (data) => own.uploadPart(init.file_id, 0, token, data);

  const once = await send(bytes.subarray(0, CHUNK_SIZE));
  assert.deepEqual(await send(bytes.subarray(0, CHUNK_SIZE)), once);
  await assert.rejects(send(bytes.subarray(1, CHUNK_SIZE + 1)), { statusCode: 409, code: "part_conflict" });
});

test("Node: an empty file is complete without a part", async (t) => {
  const { chunks, uploader } = await scene(t, 87);
  const nothing = await makeFile(chunks.files, "nothing", 0);

  const result = await uploader().uploadFile(new Blob([]));

  assert.equal(result.error, undefined);
  await chunks.assertArrived(result.finalPath, nothing);
});

test("Node: a cancelled upload is gone, with everything that it had stored", async (t) => {
  const { chunks, uploader, bytes } = await scene(t, 88);
  const own = uploader();
  const init = await own.initUpload("videos/never.mp4", SIZE);
  await own.uploadPart(init.file_id, 0, init.parts[0].token, bytes.subarray(0, CHUNK_SIZE));

  const answer = await own.cancelUpload(init.file_id);

  assert.deepEqual([answer.file_id, answer.status], [init.file_id, "cancelled"]);
  for (const call of ["getStatus", "completeUpload", "cancelUpload"]) {
    await assert.rejects(own[call](init.file_id), { statusCode: 404 }, call);
  }
  assert.ok(!(await chunks.filesStored()).some((name) => name.includes("never.mp4")));
});

test("Node: a wrong key opens nothing, and health asks for none", async (t) => {
  const { uploader, bytes } = await scene(t, 89);
  const { file_id: id } = await uploader().initUpload("x", SIZE);
  const stranger = uploader({ apiKey: "nobody's key" });
  const calls = [
    () => stranger.initUpload("x", 1), () => stranger.uploadFile(bytes), () => stranger.resumeUpload(id, bytes),
    () => stranger.getStatus(id), () => stranger.completeUpload(id), () => stranger.cancelUpload(id),
  ];

  for (const call of calls) {
    await assert.rejects(call(), (error) => {
      assert.ok(error instanceof ChunkedUploaderError && error.message);
      assert.equal(error.statusCode, 401);
      return true;
    });
  }
  assert.equal((await stranger.healthCheck()).status, "OK");
  assert.equal((await uploader().getStatus(id)).status, "pending");
});

/**
 * Runs in the page: loads the kit from the server and does one thing with the chosen file.
 * @param {{ base: string, key: string, act: string, id?: string }} order
 */
async function actInPage({ base, key, act, id }) {
  const { ChunkedUploader, ChunkedUploaderError } = await import(`${base}/static/sdk/index.js`);
  const [file] = document.querySelector("input").files;
  const sent = [];
  const recorder = (url, init) => {
    const part = /\/part\/(\d+)$/.exec(url);
    if (part) sent.push(Number(part[1]));
    return fetch(url, init);
  };
  const uploader = new ChunkedUploader({ baseUrl: base, apiKey: key, fetch: recorder });
  const stop = new AbortController();
  const begun = async () => (await uploader.initUpload("videos/2024/x.mp4", file.size)).file_id;
  const acts = {
    upload: () => uploader.uploadFile(file),
    folder: async () => uploader.resumeUpload(await begun(), file),
    stop: () => uploader.uploadFile(file, {
      signal: stop.signal, concurrency: 1, onProgress: ({ uploadedParts }) => uploadedParts === 2 && stop.abort(),
    }),
    resume: () => uploader.resumeUpload(id, file),
    cancel: async () => {
      const { file_id: cancelled } = await uploader.cancelUpload(await begun());
      return uploader.getStatus(cancelled);
    },
    stranger: () => uploader.uploadFile(file),
  };
  const tell = (error) => error && {
    message: error.message, statusCode: error.statusCode, isOurs: error instanceof ChunkedUploaderError,
  };
  try {
    const result = await acts[act]();
    return { result: { ...result, error: tell(result.error) }, sent };
  } catch (error) {
    return { thrown: tell(error), sent };
  }
}

test("Chromium: a page of another site uploads, resumes after a reload, and is refused with a wrong key", async (t) => {
  const { chunks, file } = await scene(t, 90);
  const page = await chunks.page();
  const act = async (order) => {
    await page.reload();
    await page.locator("input").setInputFiles(file.path);
    return page.evaluate(actInPage, { base: chunks.server.url, key: chunks.key, ...order });
  };

  await t.test("a file of five parts arrives byte for byte", async () => {
    const { result, sent } = await act({ act: "upload" });
    assert.equal(result?.success, true, JSON.stringify(result));
    assert.deepEqual(sent.sort(), [0, 1, 2, 3, 4]);
    assert.ok(result.finalPath.endsWith(`${result.fileId}_film.mp4`), result.finalPath);
    await chunks.assertArrived(result.finalPath, file);
  });

  await t.test("a folder name is begun with initUpload and sent with resumeUpload", async () => {
    const { result } = await act({ act: "folder" });
    assert.equal(result?.success, true, JSON.stringify(result));
    assert.ok(result.finalPath.endsWith(`videos/2024/${result.fileId}_x.mp4`), result.finalPath);
    await chunks.assertArrived(result.finalPath, file);
  });

  await t.test("after an abort and a reload only what is missing is sent", async () => {
    const first = await act({ act: "stop" });
    assert.equal(first.result?.error?.message, "Upload aborted", JSON.stringify(first));
    const second = await act({ act: "resume", id: first.result.fileId });
    assert.equal(second.result?.success, true, JSON.stringify(second));
    assert.deepEqual(second.sent.sort(), [2, 3, 4]);
    await chunks.assertArrived(second.result.finalPath, file);
  });

  await t.test("a cancelled upload is gone", async () => {
    const { thrown } = await act({ act: "cancel" });
    assert.deepEqual([thrown?.statusCode, thrown?.isOurs], [404, true]);
  });

  await t.test("a wrong key is refused in words that the page can read", async () => {
    const { thrown } = await act({ act: "stranger", key: "nobody's key" });
    assert.deepEqual([thrown?.statusCode, thrown?.isOurs], [401, true]);
    assert.ok(thrown.message);
  });
});
