import assert from "node:assert/strict";
import { test } from "node:test";

import { GalileoUploader, Memory } from "../src/galileo/index.js";
import { GalileoServer } from "./support/galileo_server.js";
import { World, until } from "./support/environment.js";

function shelf() {
  const items = new Map();
  return { getItem: (key) => items.get(key) ?? null, setItem: (key, value) => items.set(key, value) };
}

function scene(size = 95, options = {}) {
  const server = new GalileoServer();
  const world = new World();
  const bytes = Buffer.from(Array.from({ length: size }, (_, n) => n % 251));
  const file = Object.assign(new Blob([bytes]), { name: "a.bin", lastModified: 7 });
  const memory = new Memory(shelf(), "test");
  const uploader = (more = {}) => new GalileoUploader(file, {
    url: "http://server/galileo", WebSocket: server.WebSocket, env: world.environment(), memory, ...options, ...more,
  });
  return { server, world, bytes, file, memory, uploader };
}

test("a file arrives whole, in chunks of the size that the server asks for", async () => {
  const { server, bytes, memory, uploader } = scene();
  const upload = uploader({ token: "a.b-c" });
  const states = [];
  const stored = [];
  upload.on("state", (state) => states.push(state));
  upload.on("progress", (progress) => stored.push(progress.stored));

  const arrived = await upload.start().finished();

  assert.equal(arrived.path, "files/upload-1");
  assert.deepEqual(server.uploads.get("upload-1").bytes, bytes);
  assert.deepEqual(server.messages, [10, 10, 10, 10, 10, 10, 10, 10, 10, 5]);
  assert.deepEqual(states, ["connecting", "sending", "finishing", "complete"]);
  assert.deepEqual(stored.toSorted((a, b) => a - b), stored);
  assert.deepEqual(server.greetings, [{
    name: "a.bin", size: 95, protocol: 2, words: ["galileo.v2", "auth.a.b-c"], url: "ws://server/galileo",
  }]);
  assert.deepEqual(memory.list(), []);
});

test("an empty file is finished at once", async () => {
  const { server, uploader } = scene(0);
  await uploader().start().finished();
  assert.equal(server.uploads.get("upload-1").bytes.length, 0);
});

test("after lost connections it goes on from what is stored", async () => {
  const { server, bytes, uploader } = scene();
  const at = new Set([3, 4, 9]);
  let count = 0;
  server.breaks = (data) => typeof data !== "string" && at.has((count += 1));
  const retries = [];
  const upload = uploader();
  upload.on("retry", ({ error }) => retries.push(error.code));

  await upload.start().finished();

  assert.deepEqual(server.uploads.get("upload-1").bytes, bytes);
  assert.equal(server.connections, 4);
  assert.deepEqual(retries, ["network", "network", "network"]);
  assert.deepEqual(server.greetings.slice(1).map(({ resume }) => resume), ["upload-1", "upload-1", "upload-1"]);
});

test("a lost last answer is asked for again", async () => {
  const { server, uploader } = scene();
  let isFirst = true;
  server.breaks = (data) => {
    const isLast = typeof data === "string" && data.includes("finished") && isFirst;
    if (isLast) isFirst = false;
    return isLast;
  };
  assert.equal((await uploader().start().finished()).upload, "upload-1");
  assert.equal(server.connections, 2);
});

test("after a reload the same file goes on, another does not", async () => {
  const { server, bytes, memory, uploader } = scene();
  const first = uploader();
  first.on("progress", ({ stored }) => stored >= 40 && first.pause());
  first.start();
  await until(() => first.state === "paused", "the pause");
  assert.equal(memory.list()[0].id, "upload-1");

  const other = uploader({ name: "b.bin" });
  assert.equal(other.id, undefined);
  await uploader().start().finished();

  assert.equal(server.greetings[1].resume, "upload-1");
  assert.deepEqual(server.uploads.get("upload-1").bytes, bytes);
  assert.deepEqual(memory.list(), []);
});

test("an upload that the server has forgotten is sent anew", async () => {
  const { server, bytes, memory, uploader } = scene();
  memory.remember({ id: "long gone", name: "a.bin", size: 95, lastModified: 7 });
  await uploader().start().finished();
  assert.deepEqual(server.uploads.get("upload-1").bytes, bytes);
  assert.deepEqual(memory.list(), []);
});

test("given up, it is dropped by the server, running or not", async () => {
  for (const isRunning of [true, false]) {
    const { server, memory, uploader } = scene();
    const upload = uploader();
    let aborted;
    upload.on("progress", ({ stored }) => {
      if (stored < 40 || aborted) return;
      if (!isRunning) upload.pause();
      aborted = upload.abort();
    });
    upload.start();
    await until(() => aborted, "the middle");

    await aborted;

    assert.equal(upload.state, "aborted");
    assert.deepEqual(server.aborted, ["upload-1"]);
    assert.deepEqual(memory.list(), []);
    await assert.rejects(upload.finished(), { code: "cancelled" });
  }
});

test("a refusal is final, with the server's words", async () => {
  const { server, uploader } = scene();
  server.last = () => ({ error: "the file has another digest", fatal: true, code: "checksum_mismatch" });
  const upload = uploader();
  await assert.rejects(upload.start().finished(), { code: "checksum_mismatch", message: "the file has another digest" });
  assert.equal(upload.state, "failed");
  assert.equal(server.connections, 1);
});

test("a server that is being stopped is waited for", async () => {
  const { server, bytes, uploader } = scene();
  let isFirst = true;
  server.breaks = (data, socket) => {
    if (typeof data === "string" || !isFirst) return false;
    isFirst = false;
    socket.say({ error: "stopping", fatal: true, code: "stopping" });
    return true;
  };
  await uploader().start().finished();
  assert.deepEqual(server.uploads.get("upload-1").bytes, bytes);
});

test("a connection on which nothing moves is replaced", async () => {
  const { server, world, bytes, uploader } = scene();
  let isDead = true;
  const hear = server.hear.bind(server);
  server.hear = async (socket, data) => {
    if (isDead && typeof data !== "string") return;
    await hear(socket, data);
  };
  const upload = uploader();
  upload.start();
  await until(() => upload.progress.sent > 0, "the first chunk");
  isDead = false;
  for (let second = 0; second < 32; second += 1) world.advance(1000);

  await upload.finished();

  assert.equal(server.connections, 2);
  assert.deepEqual(server.uploads.get("upload-1").bytes, bytes);
});

test("an original server gets one chunk per ready, and nothing that it does not know", async () => {
  const { server, bytes, uploader } = scene(95, { subprotocol: false, token: "t" });
  server.knowsOffsets = false;
  await uploader().start().finished();
  assert.deepEqual(server.uploads.get("upload-1").bytes, bytes);
  assert.deepEqual(server.greetings[0].words, []);
  assert.equal(server.greetings[0].token, "t");
});

test("the address is asked for before each connection, for it may hold a ticket", async () => {
  const { server, uploader } = scene();
  let count = 0;
  server.breaks = (data) => typeof data !== "string" && server.messages.length === 3 && server.connections === 1;
  await uploader({ url: async () => `ws://server/galileo?ticket=${(count += 1)}` }).start().finished();
  assert.deepEqual(server.greetings.map(({ url }) => url.at(-1)), ["1", "2"]);
});
