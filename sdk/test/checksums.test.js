import assert from "node:assert/strict";
import { createHash } from "node:crypto";
import { test } from "node:test";
import { Summer } from "../src/checksums/summer.js";
import { sumsOf } from "../src/checksums/sums.js";
import { bytesOf, file, scene } from "./support/scene.js";

const CRC = { algorithm: "crc64nvme", header: "x-amz-checksum-crc64nvme", signed: true };
const MD5 = { algorithm: "md5", header: "content-md5", signed: false };

const md5 = (bytes) => createHash("md5").update(bytes).digest("base64");

/** A backend whose uploads have a checksum, and a store that keeps what came with each part. */
async function summed(t, checksum, settings = {}) {
  const stage = await scene(t, { partSize: 1000, ...settings });
  const { backend } = stage;
  const told = { signed: new Map(), sent: new Map(), recorded: new Map() };
  backend.onApi = ({ route, body }) => {
    if (/signatures/.test(route)) for (const [n, value] of Object.entries(body.checksums ?? {})) told.signed.set(Number(n), value);
    if (/parts$/.test(route)) for (const part of body.parts) told.recorded.set(part.number, part.checksums);
    if (route !== "POST /uploads") return undefined;
    const reply = backend.answer("POST", route, new URL("http://x"), body);
    reply.body.checksum = body.checksums ? checksum : null;
    return reply;
  };
  backend.onPart = ({ number, headers }) => void told.sent.set(number, headers[checksum.header]);
  return { ...stage, told };
}

test("the sums are those that others make", async () => {
  const check = new Blob(["123456789"]);
  assert.deepEqual(await sumsOf(check, ["crc64nvme", "crc32c", "md5"]), {
    crc64nvme: "rosUhgp5mIg=", crc32c: "4waSgw==", md5: md5("123456789"),
  });
  for (const size of [0, 1, 7, 8, 55, 56, 63, 64, 65, 119, 1000, 2 ** 21, 2 ** 21 + 57, 5_000_011]) {
    const blob = file(size);
    const sums = await sumsOf(blob, ["md5", "crc64nvme", "crc32c"]);
    assert.equal(sums.md5, md5(await bytesOf(blob)), `${size} bytes`);
    // A sum must not depend on where it was cut into pieces, or on how its bytes lie in the memory.
    const shifted = new Blob([new Uint8Array(await blob.arrayBuffer())]);
    assert.deepEqual(await sumsOf(shifted, ["md5", "crc64nvme", "crc32c"]), sums);
  }
});

test("each part is signed and sent with its checksum, and the server is told it", async (t) => {
  const { told, upload } = await summed(t, CRC);
  const whole = upload(10_500);
  await whole.start().finished();

  for (let number = 1; number <= 11; number += 1) {
    const sums = await sumsOf(file(10_500).slice((number - 1) * 1000, number * 1000), ["crc64nvme"]);
    assert.equal(told.signed.get(number), sums.crc64nvme);
    assert.equal(told.sent.get(number), sums.crc64nvme);
    assert.deepEqual(told.recorded.get(number), sums);
  }
});

test("an MD5 is sent unsigned, and the CRC of the whole can still be made", async (t) => {
  const { told, upload, backend } = await summed(t, MD5);
  await upload(3000).start().finished();

  assert.equal(told.signed.size, 0);
  assert.equal(backend.count(/signatures/), 1);
  const sums = await sumsOf(file(3000).slice(0, 1000), ["md5", "crc64nvme"]);
  assert.equal(told.sent.get(1), sums.md5);
  assert.deepEqual(told.recorded.get(1), sums);
});

test("where CORS lets no such header through, parts go without, and the server is told all the same", async (t) => {
  const { told, upload, backend } = await summed(t, CRC);
  const keep = backend.onPart;
  backend.onPart = (part) => {
    keep(part);
    return part.headers[CRC.header] ? "reset" : undefined;
  };
  await upload(5000, { workers: 1 }).start().finished();

  assert.deepEqual(backend.acknowledged.sort(), [1, 2, 3, 4, 5]);
  assert.equal(backend.count(/PUT part/), 7, "only the first two parts were tried with it");
  assert.equal(told.recorded.size, 5);
  assert.ok(told.recorded.get(3).crc64nvme);
});

test("a broken line is no reason to go without", async (t) => {
  const { told, upload, backend } = await summed(t, CRC);
  const keep = backend.onPart;
  let broken = 3;
  backend.onPart = (part) => {
    keep(part);
    return (broken -= 1) >= 0 ? "reset" : undefined;
  };
  await upload(4000, { workers: 1 }).start().finished();

  assert.ok([2, 3, 4].every((number) => told.sent.get(number)), "every part behind the break had its checksum");
});

test("a part that was damaged on its way is sent again, but not for ever", async (t) => {
  const { upload, backend } = await summed(t, CRC);
  const refusal = { status: 400, body: "<Error><Code>BadDigest</Code></Error>" };
  backend.onPart = ({ number, attempt }) => (number === 2 && attempt < 4 ? refusal : undefined);
  await upload(3000).start().finished();
  assert.equal(backend.count(/PUT part 2/), 4);

  backend.onPart = () => refusal;
  await assert.rejects(upload(2000, { fileName: "other" }).start().finished(), { code: "damaged" });
});

test("a part that was damaged on its way through the server is sent again", async (t) => {
  const { upload, backend } = await summed(t, CRC);
  const serve = backend.onApi;
  let refused = 0;
  backend.onPart = () => "reset";
  backend.onApi = (request) => {
    if (!request.route.endsWith("/content")) return serve(request);
    assert.ok(request.headers[CRC.header]);
    if ((refused += 1) > 2) return undefined;
    return { status: 409, body: { type: "/problems/checksum-mismatch", status: 409 } };
  };
  await upload(3000, { workers: 1 }).start().finished();

  assert.ok(refused > 2);
});

test("parts of an earlier life whose sums the server lacks are told before the end", async (t) => {
  const { told, upload, backend } = await summed(t, CRC);
  const serve = backend.onApi;
  backend.onApi = (request) => {
    const reply = serve(request);
    if (reply?.body?.parts) for (const part of reply.body.parts) part.is_summed = part.number !== 2;
    return reply;
  };
  backend.onPart = ({ number }) => (number === 4 ? { status: 403 } : undefined);
  await assert.rejects(upload(4000, { workers: 1 }).start().finished());
  told.recorded.clear();
  backend.onPart = () => {};
  await upload(4000).start().finished();

  assert.deepEqual([...told.recorded.keys()].sort(), [2, 4]);
});

test("a worker that cannot be loaded is done without", async () => {
  class Broken {
    postMessage() {
      setImmediate(() => this.onerror());
    }
    terminate() {}
  }
  const summer = new Summer({ Worker: /** @type {any} */ (Broken) });
  const sums = await summer.sums(file(100), ["md5"]);
  assert.equal(sums.md5, md5(await bytesOf(file(100))));
  assert.equal(summer.isApart, false);
  const refusing = new Summer({ Worker: /** @type {any} */ (class { constructor() { throw new Error("of another site"); } }) });
  assert.deepEqual(await refusing.sums(file(100), ["md5"]), sums);
});
