// A hundred uploads through a network that breaks at random moments: in the middle of a request, before its answer, by a
// FIN, by a reset, or by falling silent. The unmodified client goes on by itself; every object is right, and no answer
// ever tells less than an earlier one.

import assert from "node:assert/strict";
import { readFile } from "node:fs/promises";
import { Readable } from "node:stream";
import { test } from "node:test";
import * as tus from "tus-js-client";
import { CuttingPipe } from "./support/cutting_pipe.mjs";
import { makeFile } from "./support/files.mjs";
import { seeded } from "./support/random.mjs";
import { MIB } from "./support/stack.mjs";
import { PLACES, startTus } from "./support/tus.mjs";

const SEED = Number(process.env.MULETEER_TEST_SEED ?? 1101);
const LARGEST = 8 * MIB;
const AT_ONCE = 8;
/** Connections of one upload that may be cut; after them it is left in peace, so that every run has an end. */
const MOST_CUTS = 20;

/** Sizes at which something changes somewhere, and all others: the small ones as often as the large ones. */
const EDGES = [0, 1, 65_535, 65_536, MIB - 1, MIB, MIB + 1, 5 * MIB - 1, 5 * MIB, LARGEST];
const anyOf = (random, most) =>
  Math.floor(random.chance(0.5) ? 2 ** random.between(0, Math.log2(most)) : random.between(0, most));

/** Ways to upload by their share. `repeats`: a lost answer to a POST may leave a second, equal file. */
const KINDS = [
  { name: "plain", share: 5, options: {} },
  { name: "chunks", share: 5, options: { chunkSize: MIB } },
  { name: "begun with bytes", share: 3, options: { uploadDataDuringCreation: true }, repeats: true },
  { name: "three at once", share: 3, options: { parallelUploads: 3 }, repeats: true },
  { name: "unknown length", share: 2, options: { uploadLengthDeferred: true, chunkSize: MIB + 7 } },
  { name: "POST for PATCH", share: 2, options: { overridePatchMethod: true } },
];
const IETF = [
  { name: "plain", share: 2, options: { protocol: "ietf-draft-05" } },
  { name: "chunks", share: 2, options: { protocol: "ietf-draft-05", chunkSize: MIB } },
  { name: "begun with bytes", share: 1, options: { protocol: "ietf-draft-05", uploadDataDuringCreation: true }, repeats: true },
  { name: "older", share: 1, options: { protocol: "ietf-draft-03" } },
];

/** Where connection `number` of an upload is cut, if at all. */
function cutFor(random, number) {
  if (number >= MOST_CUTS || !random.chance(0.75)) return undefined;
  const how = random.pick(["fin", "rst", "fin", "rst", "silence"]);
  // An answer is cut in its head: without a whole head it never arrived, and the client knows that.
  if (random.chance(0.3)) return { way: "down", bytes: Math.floor(random.between(0, 40)), how };
  return { way: "up", bytes: 1 + anyOf(random, 3 * MIB), how };
}

/** Uploads one file and answers what was told on the way; throws what the client gave up with. */
async function upload(scene, file, kind, random) {
  const pipe = await CuttingPipe.start(scene.server.url, { cut: (number) => cutFor(random, number) });
  const told = [];
  const bytes = await readFile(file.path);
  const source = kind.options.uploadLengthDeferred ? Readable.from(pieces(bytes), { objectMode: false }) : bytes;
  try {
    await new Promise((resolve, reject) => {
      const late = setTimeout(() => reject(new Error(`${file.name} (${kind.name}) hangs: ${JSON.stringify(told)}`)), 50_000);
      const client = new tus.Upload(source, {
        endpoint: `${pipe.url}/files`,
        headers: { Authorization: `Bearer ${scene.key}` },
        metadata: { filename: file.name },
        retryDelays: [0, ...Array(60).fill(25)],
        onAfterResponse: (request, answer) => told.push({
          method: request.getMethod(), url: request.getURL(), status: answer.getStatus(),
          offset: answer.getHeader("upload-offset"), location: answer.getHeader("location"),
        }),
        onSuccess: () => resolve(clearTimeout(late)),
        onError: (error) => {
          // The request that joins is the only one that this client does not repeat by itself.
          if (kind.options.parallelUploads && !error.originalRequest) return client.start();
          clearTimeout(late);
          reject(new Error(`${file.name} (${kind.name}): ${error}`));
        },
        ...kind.options,
      });
      client.start();
    });
  } finally {
    await pipe.stop();
  }
  return { told, cuts: pipe.cuts };
}

/** A stream's worth of pieces that are no multiple of anything. */
function* pieces(bytes) {
  for (let start = 0; start < bytes.length; start += 50_021) yield bytes.subarray(start, start + 50_021);
}

/** In the order of the answers the offset of each address only grows, and no upload is lost and begun anew. */
function assertNeverBack(file, kind, told) {
  const offsets = new Map();
  const created = told.filter(({ method, status, location }) => method === "POST" && status < 300 && location);
  for (const { url, status, offset, method } of told) {
    const words = `${file.name} (${kind.name}): ${JSON.stringify(told)}`;
    assert.ok(status < 300 || status === 409 || status === 423 || status >= 500, words);
    if (offset === undefined || (method === "POST" && url.endsWith("/files"))) continue;
    assert.ok(Number(offset) >= (offsets.get(url) ?? 0), words);
    offsets.set(url, Number(offset));
  }
  const most = kind.options.parallelUploads ? kind.options.parallelUploads + 1 : 1;
  assert.equal(created.length, most, `${file.name} (${kind.name}) was begun anew: ${JSON.stringify(told)}`);
}

/** Uploads `count` files, several at a time, and holds everything that arrived against them. */
async function uploadAll(t, scene, { count, kinds, seed }) {
  t.diagnostic(`seed ${seed}`);
  const random = seeded(seed);
  const bag = kinds.flatMap((kind) => Array(kind.share).fill(kind));
  const jobs = [];
  for (let index = 0; index < count; index += 1) {
    const kind = random.pick(bag);
    // Nothing at all is no upload of three parts, this client waits for ever for an empty stream, and never says that an
    // empty upload of the IETF protocol is complete.
    const least = kind.options.parallelUploads ? 3 : kind.options.uploadLengthDeferred || kind.options.protocol ? 1 : 0;
    const size = Math.max(least, random.chance(0.3) ? random.pick(EDGES) : anyOf(random, LARGEST));
    jobs.push({ kind, file: await makeFile(scene.files, `${index}.bin`, size, seed + index), random: seeded(seed * 1000 + index) });
  }

  let cuts = 0;
  const waiting = [...jobs];
  await Promise.all(Array.from({ length: AT_ONCE }, async () => {
    for (let job = waiting.shift(); job; job = waiting.shift()) {
      const outcome = await upload(scene, job.file, job.kind, job.random);
      cuts += outcome.cuts;
      assertNeverBack(job.file, job.kind, outcome.told);
    }
  }));

  t.diagnostic(`${count} uploads, ${cuts} cuts`);
  assert.ok(cuts > count / 2, `only ${cuts} cuts`);
  const arrived = await scene.arrivals();
  for (const { kind, file } of jobs) {
    const found = arrived.filter(({ name }) => name === file.name).map(({ size, sha256 }) => ({ size, sha256 }));
    const words = `${file.name} (${kind.name}): ${JSON.stringify(found)}`;
    // Nothing follows the creation of an empty file, so that is complete at once.
    assert.ok(kind.repeats || file.size === 0 ? found.length >= 1 : found.length === 1, words);
    for (const object of found) assert.deepEqual(object, { size: file.size, sha256: file.sha256 }, words);
  }
  assert.ok(arrived.every(({ name }) => jobs.some(({ file }) => file.name === name)));
}

test("100 uploads by tus, into a local folder", { timeout: 180_000 }, async (t) => {
  await uploadAll(t, await startTus(t), { count: 100, kinds: KINDS, seed: SEED });
});

for (const place of PLACES.slice(1)) {
  test(`25 uploads by tus, into ${place.name}`, { timeout: 180_000 }, async (t) => {
    await uploadAll(t, await startTus(t, { place }), { count: 25, kinds: KINDS, seed: SEED + 1 });
  });
}

test("25 uploads by the IETF protocol, into a local folder", { timeout: 180_000 }, async (t) => {
  await uploadAll(t, await startTus(t), { count: 25, kinds: IETF, seed: SEED + 2 });
});
