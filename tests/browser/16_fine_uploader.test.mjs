// Fine Uploader as released, in a page of another site that runs what docs/front-ends/fine-uploader.md prints. Judged by
// what the proxy before the store saw, by the object that is read back, and by what the session lists.

import assert from "node:assert/strict";
import { test } from "node:test";
import { makeFile } from "./support/files.mjs";
import { packaged, printed, startFrontEnd } from "./support/front_ends.mjs";
import { until } from "./support/processes.mjs";
import { MIB, STORES } from "./support/stack.mjs";

/** The smallest parts that S3 takes, which is the client's default too. */
const PART = 5 * MIB;

async function startFineUploader(t, options) {
  const scripts = await Promise.all([
    packaged("fine-uploader", "s3.fine-uploader/s3.fine-uploader.core.min.js"),
    printed("fine-uploader.md", "startFineUploader"),
  ]);
  return startFrontEnd(t, scripts, options);
}

/**
 * Runs in the page: sends the chosen file, and answers its key, or the reason that the page is told.
 * `version` and `whole` differ from what the guide prints: the other signature, a form instead of parts.
 */
async function send({ server, key, version = 4, whole = false, stranger, more = {} }) {
  const make = globalThis.qq.s3.FineUploaderBasic;
  const successes = [];
  const { open } = XMLHttpRequest.prototype;
  XMLHttpRequest.prototype.open = function (method, url, ...rest) {
    if (url.includes("/success")) successes.push(url);
    return open.call(this, method, url, ...rest);
  };
  return new Promise((resolve) => {
    globalThis.qq.s3.FineUploaderBasic = function (options) {
      options.signature.version = version;
      if (whole) options.chunking = { enabled: false };
      options.retry = { enableAuto: true, autoAttemptDelay: 0.2 };
      if (stranger) options.objectProperties.key = () => stranger;
      return new make(options);
    };
    const errors = [];
    const callbacks = {
      onError: (id, name, reason) => errors.push(reason),
      onComplete: (id, name, result) => setTimeout(() =>
        resolve({ key: globalThis.uploader.getKey(id), success: result.success, errors, successes: successes.length })),
    };
    globalThis.startFineUploader({ server, key, callbacks, ...more }).then((uploader) => {
      globalThis.uploader = uploader;
      uploader.addFiles(document.querySelector("input").files);
    });
  });
}

/** The finished files that the session lists. */
async function session(scene) {
  const answer = await fetch(`${scene.server.url}/fineuploader/session`, { headers: { "x-api-key": scene.key } });
  return (await answer.json()).map(({ name, s3Key, size }) => ({ name, s3Key, size }));
}

for (const store of STORES) {
  for (const version of [4, 2]) {
    for (const whole of [false, true]) {
      const way = whole ? "a form" : "three parts";
      test(`${way} in version ${version}, ${store.name}`, { timeout: 45_000 }, async (t) => {
        const scene = await startFineUploader(t, { store, settings: { MULETEER_PROTOCOLS__FINE_UPLOADER__SIGNATURE_V2: version === 2 } });
        const file = await makeFile(scene.files, "Straße + 100% (1)!*'漢.mp4", whole ? MIB : 2 * PART + 77, 1601);
        assert.deepEqual(await session(scene), []);
        const page = await scene.open(file);

        const sent = await page.evaluate(send, { server: scene.server.url, key: scene.key, version, whole });

        assert.deepEqual([sent.success, sent.errors, sent.successes], [true, [], 1]);
        await scene.assertStored(sent.key, file);
        assert.deepEqual(scene.proxy.parts.map((part) => part.number).sort(), whole ? [] : [1, 2, 3]);
        assert.deepEqual(await session(scene), [{ name: file.name, s3Key: sent.key, size: file.size }]);
      });
    }
  }

  test(`after a reload only what is missing is sent, ${store.name}`, { timeout: 45_000 }, async (t) => {
    const scene = await startFineUploader(t, { store, proxy: { bytesPerSecond: 8 * MIB } });
    const file = await makeFile(scene.files, "film.mp4", 4 * PART + 77, 1602);
    const order = { server: scene.server.url, key: scene.key, more: { chunking: { enabled: true, partSize: PART } } };
    const page = await scene.open(file);
    await page.evaluate(`(${send})(${JSON.stringify(order)}); 0`);
    await until("two parts", () => scene.proxy.acknowledged.length >= 2);

    const again = await scene.open(file);
    const sent = await again.evaluate(send, order);

    assert.equal(sent.success, true, sent.errors.join());
    await scene.assertStored(sent.key, file);
    assert.deepEqual(scene.proxy.sentAgain, [], "nothing acknowledged was sent again");
    assert.equal(new Set(scene.proxy.parts.map((part) => part.uploadId)).size, 1, "one upload");
  });
}

test("an upload that vanished from the store starts over by itself", { timeout: 45_000 }, async (t) => {
  const scene = await startFineUploader(t, { proxy: { bytesPerSecond: 8 * MIB } });
  const file = await makeFile(scene.files, "film.mp4", 3 * PART + 77, 1603);
  const order = { server: scene.server.url, key: scene.key, more: { chunking: { enabled: true, partSize: PART } } };
  const page = await scene.open(file);
  await page.evaluate(`(${send})(${JSON.stringify(order)}); 0`);
  await until("a part", () => scene.proxy.acknowledged.length >= 1);
  await page.goto("about:blank");
  const { body } = await scene.api("/uploads", { key: scene.key });
  const [lost] = await scene.s3.unfinished(scene.bucket);
  await scene.s3.text("DELETE", `/${scene.bucket}/${body.uploads[0].key}`, { query: { uploadId: lost } });

  const sent = await (await scene.open(file)).evaluate(send, order);

  assert.equal(sent.success, true, sent.errors.join());
  await scene.assertStored(sent.key, file);
});

test("the reason of a refusal reaches the page, and nothing comes to the store", { timeout: 45_000 }, async (t) => {
  const scene = await startFineUploader(t);
  const file = await makeFile(scene.files, "no.bin", 77, 1604);
  const page = await scene.open(file);

  const sent = await page.evaluate(send, { server: scene.server.url, key: scene.key, stranger: "pages/bert/x" });

  assert.notEqual(sent.success, true);
  assert.match(sent.errors[0], /prefix/);
  assert.deepEqual(await scene.s3.unfinished(scene.bucket), []);
});
