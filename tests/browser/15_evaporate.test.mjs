// EvaporateJS as released, in a page of another site that runs what docs/front-ends/evaporate.md prints. Judged by what
// the proxy before the store saw, and by the object that is read back.

import assert from "node:assert/strict";
import { test } from "node:test";
import { makeFile } from "./support/files.mjs";
import { packaged, printed, startFrontEnd } from "./support/front_ends.mjs";
import { until } from "./support/processes.mjs";
import { MIB, STORES } from "./support/stack.mjs";

/** Beginning of all keys of the tests' owner. */
const PREFIX = "pages/anna/";

/** The smallest parts that S3 takes; the client's default is 6 MiB. */
const PART = 5 * MIB;

/** The key of the owner's only upload: the guide's page puts the time into it. */
async function keyOf(scene) {
  const { body } = await scene.api("/uploads", { key: scene.key });
  assert.equal(body.uploads.length, 1);
  return body.uploads[0].key;
}

/** Asserts that the only upload is of this file, under a key of its own, and stored as it is. */
async function assertArrived(scene, file) {
  const key = await keyOf(scene);
  assert.ok(key.startsWith(PREFIX) && key.endsWith(`/${file.name}`), key);
  await scene.assertStored(key, file);
}

async function startEvaporate(t, options) {
  const scripts = await Promise.all([
    packaged("evaporate", "evaporate.js"),
    packaged("spark-md5", "spark-md5.min.js"),
    packaged("js-sha256", "src/sha256.js"),
    printed("evaporate.md", "startEvaporate"),
  ]);
  return startFrontEnd(t, scripts, options);
}

/** Runs in the page: sends the chosen file, and answers its key, or why it was given up. */
async function send({ server, key, more = {}, adds = {}, config = {} }) {
  const create = globalThis.Evaporate.create;
  globalThis.Evaporate.create = (settings) => create({ ...settings, partSize: 5 << 20, logging: false, ...config });
  const { upload } = await globalThis.startEvaporate({ server, key, ...more });
  const [file] = document.querySelector("input").files;
  try {
    return { key: await upload(file, adds) };
  } catch (error) {
    return { error: String(error) };
  }
}

for (const store of STORES) {
  for (const version of ["4", "2"]) {
    test(`three parts arrive in version ${version}, ${store.name}`, { timeout: 45_000 }, async (t) => {
      const scene = await startEvaporate(t, { store, settings: { MULETEER_PROTOCOLS__EVAPORATE__SIGNATURE_V2: version === "2" } });
      const file = await makeFile(scene.files, "Straße + 100% (1)!*'漢.mp4", 2 * PART + 77, 1501);
      const page = await scene.open(file);

      const sent = await page.evaluate(send, {
        server: scene.server.url, key: scene.key, config: { awsSignatureVersion: version },
      });

      assert.equal(sent.error, undefined);
      await assertArrived(scene, file);
      assert.deepEqual(scene.proxy.parts.map((part) => part.number).sort(), [1, 2, 3]);
      const { body } = await scene.api("/uploads", { key: scene.key });
      const { body: known } = await scene.api(`/uploads/${body.uploads[0].id}`, { key: scene.key });
      assert.deepEqual([known.state, known.size, known.filename], ["complete", file.size, file.name]);
    });
  }

  test(`after a reload only what is missing is sent, ${store.name}`, { timeout: 45_000 }, async (t) => {
    const scene = await startEvaporate(t, { store, proxy: { bytesPerSecond: 8 * MIB } });
    const file = await makeFile(scene.files, "film.mp4", 4 * PART + 77, 1502);
    const order = { server: scene.server.url, key: scene.key, config: { maxConcurrentParts: 1 } };
    const page = await scene.open(file);
    await page.evaluate(`(${send})(${JSON.stringify(order)}); 0`);
    await until("two parts", () => scene.proxy.acknowledged.length >= 2);

    const again = await scene.open(file);
    const acknowledged = scene.proxy.acknowledged.map((part) => part.number);
    const sent = await again.evaluate(send, order);

    assert.equal(sent.error, undefined);
    await assertArrived(scene, file);
    assert.ok(acknowledged.length >= 2, "there was something to keep");
    assert.deepEqual(scene.proxy.sentAgain, [], "nothing acknowledged was sent again");
    assert.equal(new Set(scene.proxy.parts.map((part) => part.uploadId)).size, 1, "one upload");
  });
}

test("an upload that vanished from the store starts over and completes", { timeout: 45_000 }, async (t) => {
  const scene = await startEvaporate(t, { proxy: { bytesPerSecond: 8 * MIB } });
  const file = await makeFile(scene.files, "film.mp4", 2 * PART + 77, 1503);
  const order = { server: scene.server.url, key: scene.key, config: { maxConcurrentParts: 1 } };
  const page = await scene.open(file);
  await page.evaluate(`(${send})(${JSON.stringify(order)}); 0`);
  await until("a part", () => scene.proxy.acknowledged.length >= 1);
  await page.goto("about:blank");
  const [lost] = await scene.s3.unfinished(scene.bucket);
  await scene.s3.text("DELETE", `/${scene.bucket}/${await keyOf(scene)}`, { query: { uploadId: lost } });

  const sent = await (await scene.open(file)).evaluate(send, order);

  assert.equal(sent.error, undefined);
  await assertArrived(scene, file);
});

test("a browser whose clock is two hours wrong uploads, thanks to timeUrl", { timeout: 45_000 }, async (t) => {
  const scene = await startEvaporate(t);
  const file = await makeFile(scene.files, "clock.bin", 77, 1504);
  const page = await scene.open(file, { person: "late", clockOffset: -2 * 3600 * 1000 });

  const sent = await page.evaluate(send, { server: scene.server.url, key: scene.key });

  assert.equal(sent.error, undefined);
  await assertArrived(scene, file);
});

test("what is refused ends the upload in the page, and nothing comes to the store", { timeout: 45_000 }, async (t) => {
  const scene = await startEvaporate(t);
  const file = await makeFile(scene.files, "no.bin", 77, 1505);
  const page = await scene.open(file);
  const order = { server: scene.server.url, key: scene.key };

  const unseen = await page.evaluate(send, { ...order, config: { sendCanonicalRequestToSignerUrl: false } });
  // Another page, since this one keeps its settings.
  const foreign = await (await scene.open(file)).evaluate(send, { ...order, adds: { name: "pages/bert/no.bin" } });

  assert.match(unseen.error, /Permission denied/);
  assert.match(foreign.error, /Permission denied/);
  assert.match(scene.server.log, /sendCanonicalRequestToSignerUrl/);
  assert.match(scene.server.log, /must begin with its owner's prefix/);
  assert.deepEqual(await scene.s3.unfinished(scene.bucket), []);
  assert.deepEqual(await scene.s3.keys(scene.bucket, ""), []);
});

test("credentials in a parameter and in cookies reach the signer", { timeout: 45_000 }, async (t) => {
  const scene = await startEvaporate(t);
  const file = await makeFile(scene.files, "by parameter.bin", 77, 1506);
  const page = await scene.open(file);

  const { prefix } = await (await fetch(`${scene.server.url}/evaporate/settings`, { headers: { "x-api-key": scene.key } })).json();
  const sent = await page.evaluate(send, {
    server: scene.server.url, key: scene.key,
    config: { signHeaders: {}, signParams: { api_key: scene.key }, xhrWithCredentials: true },
  });

  assert.equal(prefix, PREFIX);
  assert.equal(sent.error, undefined);
  await assertArrived(scene, file);
});
