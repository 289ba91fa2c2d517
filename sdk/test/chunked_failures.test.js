import assert from "node:assert/strict";
import { test } from "node:test";
import { ChunkedUploaderError } from "../src/index.js";
import { bytes, chunkScene, listening } from "./support/chunk_scene.js";
import { refusal } from "./support/chunk_server.js";

const WHILE_COMPLETING = /\/complete$/;

/** A refusal that names a pause: whole seconds, a date, or nothing. */
const later = (status, pause, code, more) =>
  refusal(status, "Later.", code, undefined, { ...(pause && { "Retry-After": pause }), ...more });

/** What fails only the first time. */
const atFirst = (fate) => ({ attempt }) => (attempt === 1 ? fate : undefined);

test("a part is tried three times, after one and two seconds", async (t) => {
  for (const trouble of [refusal(500, "Broken."), "reset"]) {
    const { world, server, uploader } = await chunkScene(t, {
      onPart: ({ attempt }) => (attempt < 3 ? trouble : undefined),
    });
    const hooks = listening();

    const result = await uploader().uploadFile(bytes(10), hooks);

    assert.equal(result.success, true);
    assert.deepEqual(world.pauses, [1000, 2000]);
    assert.equal(server.count("PUT part 0"), 3);
    assert.deepEqual(hooks.heard.errors.map(([part, , attempt]) => [part, attempt]), [[0, 1], [0, 2]]);
    assert.ok(hooks.heard.errors.every(([, error]) => error instanceof ChunkedUploaderError));
  }
});

test("tries and pauses are as many and as long as told", async (t) => {
  const { world, server, uploader } = await chunkScene(t, { onPart: () => refusal(500, "Broken.") });

  const result = await uploader({ retryAttempts: 4, retryDelay: 10 }).uploadFile(bytes(10));

  assert.equal(result.success, false);
  assert.equal(server.count("PUT part 0"), 4);
  assert.deepEqual(world.pauses, [10, 20, 30]);
});

test("an upload that fails tells its id, the first reason and every part", async (t) => {
  const { server, uploader } = await chunkScene(t, {
    onPart: ({ number }) => (number % 2 === 0 ? refusal(507, "The disk is full.", "full", { free: 0 }) : undefined),
  });
  const hooks = listening();

  const result = await uploader({ concurrency: 1 }).uploadFile(bytes(3500), hooks);

  const { error, ...rest } = result;
  assert.deepEqual(rest, { fileId: server.upload.id, filename: "file", totalSize: 3500, success: false });
  assert.ok(error instanceof ChunkedUploaderError);
  assert.match(error.message, /0, 2.*The disk is full/);
  assert.deepEqual([error.statusCode, error.code, error.details], [507, "full", { free: 0 }]);
  assert.deepEqual(server.stored, [1, 3], "what can be sent is sent: a resume has less to do");
  assert.deepEqual(hooks.heard.parts.map(({ partNumber, success }) => [partNumber, success]), [
    [0, false], [1, true], [2, false], [3, true],
  ]);
  assert.equal(hooks.heard.parts[0].error.statusCode, 507);
  assert.equal(server.count("POST /upload/ID/complete"), 0);
  assert.equal(server.count("DELETE /upload/ID"), 0, "the upload stays, to be resumed");
});

test("a refusal is not repeated and stops the other parts", async (t) => {
  for (const status of [400, 403, 404, 409, 413, 422]) {
    const { world, server, uploader } = await chunkScene(t, { onPart: () => refusal(status, "No.") });
    const hooks = listening();

    const result = await uploader({ concurrency: 1 }).uploadFile(bytes(5000), hooks);

    assert.equal(result.error.statusCode, status);
    assert.equal(server.count("PUT part 0"), 1, `status ${status}`);
    assert.equal(server.count("PUT part 1"), 0, "no other part is begun");
    assert.deepEqual(world.pauses, []);
    assert.equal(hooks.heard.errors.length, 1);
  }
});

test("other bytes in place of a part are a conflict, once", async (t) => {
  const { server, uploader } = await chunkScene(t, { onPart: () => refusal(409, "Other bytes.", "part_conflict") });

  const { error } = await uploader().uploadFile(bytes(10));

  assert.deepEqual([error.code, error.statusCode], ["part_conflict", 409]);
  assert.equal(server.count("PUT part 0"), 1);
});

test("408, 425 and 429 mean later", async (t) => {
  for (const status of [408, 425, 429]) {
    const { server, uploader } = await chunkScene(t, { onPart: atFirst(later(status)) });

    assert.equal((await uploader().uploadFile(bytes(10))).success, true);

    assert.equal(server.count("PUT part 0"), 2);
  }
});

test("the server's Retry-After is waited for, unless our own pause is longer", async (t) => {
  const answers = [later(429, "7"), later(503, "1")];
  const { world, uploader } = await chunkScene(t, { onPart: ({ attempt }) => answers[attempt - 1] });

  assert.equal((await uploader().uploadFile(bytes(10))).success, true);

  assert.deepEqual(world.pauses, [7000, 2000]);
});

test("Retry-After may be a date", async (t) => {
  const now = { Date: "Tue, 05 May 2026 10:00:00 GMT" };
  const inTwentySeconds = later(503, "Tue, 05 May 2026 10:00:20 GMT", undefined, now);
  const { world, uploader } = await chunkScene(t, { onPart: atFirst(inTwentySeconds) });

  await uploader().uploadFile(bytes(10));

  assert.deepEqual(world.pauses, [20_000]);
});

test("a lost answer is asked for again", async (t) => {
  let isFirst = true;
  const loseOnce = () => {
    const fate = isFirst ? "lose" : undefined;
    isFirst = false;
    return fate;
  };
  const { server, uploader } = await chunkScene(t, { onPart: loseOnce });
  assert.equal((await uploader().uploadFile(bytes(10))).success, true);

  isFirst = true;
  server.onCall = ({ route }) => (WHILE_COMPLETING.test(route) ? loseOnce() : undefined);
  const result = await uploader().uploadFile(bytes(10));

  assert.equal(result.success, true);
  assert.ok(result.finalPath);
});

test("a server that is finishing is asked again until it is done", async (t) => {
  let asked = 0;
  const answers = ["5", undefined, "2", "2", "2", "2"].map((pause) => later(503, pause, "finalizing"));
  const { world, uploader } = await chunkScene(t, {
    onCall: ({ route }) => (WHILE_COMPLETING.test(route) ? answers[asked++] : undefined),
  });

  const result = await uploader().uploadFile(bytes(10));

  assert.ok(result.finalPath);
  assert.equal(asked, 7, "more often than a failure would be");
  assert.deepEqual(world.pauses, [5000, 1000, 2000, 2000, 2000, 2000]);
});

test("a 202 without a path is no end, either", async (t) => {
  let asked = 0;
  const { uploader } = await chunkScene(t, {
    onCall: ({ route }) =>
      WHILE_COMPLETING.test(route) && asked++ < 2
        ? { status: 202, body: { status: "finalizing", final_path: null } }
        : undefined,
  });
  const own = uploader();
  const { file_id: id } = await own.initUpload("x", 0);

  assert.ok((await own.completeUpload(id)).final_path);
  assert.equal(asked, 3);
});

test("any other 503 at the end is a failure after the usual tries", async (t) => {
  const { server, uploader } = await chunkScene(t, {
    onCall: ({ route }) => (WHILE_COMPLETING.test(route) ? refusal(503, "No store.") : undefined),
  });

  const result = await uploader().uploadFile(bytes(10));

  assert.equal(result.error.statusCode, 503);
  assert.equal(server.count("POST /upload/ID/complete"), 3);
});

test("a refused end comes back as a result with the server's words", async (t) => {
  const { server, uploader } = await chunkScene(t, {
    onCall: ({ route }) => (WHILE_COMPLETING.test(route) ? refusal(409, "Checksums differ.", "checksum") : undefined),
  });

  const { success, fileId, error } = await uploader().uploadFile(bytes(10));

  assert.deepEqual([success, fileId], [false, server.upload.id]);
  assert.deepEqual([error.message, error.code], ["Checksums differ.", "checksum"]);
  assert.equal(server.count("POST /upload/ID/complete"), 1);
});

test("expired tokens are replaced by one question, however many workers need it", async (t) => {
  const { server, uploader } = await chunkScene(t, { chunkSize: 100 });
  const own = uploader({ concurrency: 4 });
  const hooks = { ...listening(), onInit: () => server.upload.parts.forEach((part) => part.tokens.clear()) };

  const result = await own.uploadFile(bytes(400), hooks);

  assert.equal(result.success, true);
  assert.ok(server.bytes().equals(bytes(400)));
  assert.equal(server.count("GET /upload/ID/status"), 1);
  assert.deepEqual(hooks.heard.errors, [], "no try was used up");
});

test("a token that is refused again is a refusal", async (t) => {
  const { server, uploader } = await chunkScene(t, { onPart: () => refusal(401, "This token is not good.") });

  const { error } = await uploader({ concurrency: 1 }).uploadFile(bytes(5000));

  assert.equal(error.statusCode, 401);
  assert.equal(server.count("PUT part 0"), 2);
  assert.equal(server.count("GET /upload/ID/status"), 1);
});

test("where no new tokens are to be had, the refusal itself is told", async (t) => {
  for (const answerToStatus of [undefined, refusal(404, "No such upload.")]) {
    const { server, uploader } = await chunkScene(t, {
      handsOutTokens: false,
      onCall: ({ route }) => (route.endsWith("/status") ? answerToStatus : undefined),
      onPart: () => refusal(401, "Expired."),
    });

    const { error } = await uploader().uploadFile(bytes(10));

    assert.deepEqual([error.statusCode, error.message.includes("Expired.")], [401, true]);
    assert.equal(server.count("PUT part 0"), 1);
  }
});
