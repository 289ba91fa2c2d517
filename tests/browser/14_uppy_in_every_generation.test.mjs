// The unmodified packages of Uppy's S3 plugin, five generations of it, in a page of another site, set up as
// docs/front-ends/uppy.md prints it: what they send arrives byte for byte, and what arrived is not sent again.

import assert from "node:assert/strict";
import { test } from "node:test";
import { makeFile } from "./support/files.mjs";
import { until } from "./support/processes.mjs";
import { startSite } from "./support/site.mjs";
import { MIB, startStack, STORES } from "./support/stack.mjs";
import { bundledUppy, GENERATIONS } from "./support/uppy.mjs";

/** Three parts of the smallest size that the clients cut. */
const LARGE = 10 * MIB + 4321;
const NAME = "héllo wörld 漢字.mp4";

/** Runs in the page: uploads the chosen file, and tells what the client tells its page. */
async function uploadInPage(order) {
  const [data] = document.querySelector("input").files;
  const make = globalThis.guide.uppyFor ?? globalThis.guide.uppySigning;
  const uppy = make({ ...order, multipartFrom: 6 * 2 ** 20 });
  uppy.addFile({ name: data.name, type: data.type, data, meta: { relativePath: "Reise/2024", n: 7 } });
  const { successful, failed } = await uppy.upload();
  return {
    errors: failed.map((file) => String(file.error?.message ?? file.error)),
    urls: successful.map((file) => file.uploadURL),
    keys: successful.map((file) => file.response?.body?.key ?? file.response?.key),
  };
}

/** Runs in the page: begins an upload that the page will not see the end of. */
function beginInPage(order) {
  // What another generation remembers would take the place of what is chosen here.
  localStorage.clear();
  const [data] = document.querySelector("input").files;
  const uppy = globalThis.guide.remembering(globalThis.guide.uppyFor({ ...order, multipartFrom: 6 * 2 ** 20 }));
  uppy.addFile({ name: data.name, type: data.type, data });
  uppy.upload().catch(() => {});
  globalThis.uppy = uppy;
}

/** Runs in the page after a reload: what was remembered goes on once the person agrees, and has chosen the file again
 * where the client could not keep it. */
function goOnInPage(order) {
  const [data] = document.querySelector("input").files;
  const uppy = globalThis.guide.uppyFor({ ...order, multipartFrom: 6 * 2 ** 20 });
  return new Promise((resolve, reject) => {
    setTimeout(() => reject(new Error(`nothing went on: ${JSON.stringify(uppy.getFiles())}`)), 15_000);
    uppy.on("restored", () => {
      for (const file of uppy.getFiles()) {
        if (file.isGhost) uppy.addFile({ name: data.name, type: data.type, data });
      }
      uppy.emit("restore-confirmed");
    });
    uppy.on("complete", ({ successful, failed }) => resolve({
      errors: failed.map((file) => String(file.error)), urls: successful.map((file) => file.uploadURL),
    }));
    globalThis.guide.remembering(uppy);
  });
}

/** Everything that the tests of one store share. */
async function startScene(t, store) {
  const scripts = {};
  await Promise.all(Object.keys(GENERATIONS).map(async (name) => {
    scripts[`/${name}.js`] = await bundledUppy(name);
  }));
  const site = await startSite(t, scripts);
  const stack = await startStack(t, {
    store, proxy: { bytesPerSecond: 200 * MIB }, settings: {
      MULETEER_CORS__ALLOWED_ORIGINS: `["${site}"]`,
      // Ceph's answer to a form has no ETag.
      MULETEER_PROTOCOLS__UPPY__FORMS: String(store.kind === "embedded"),
    },
  });
  const browser = await stack.browser();
  const key = await stack.server.createKey("anna");
  const made = await fetch(`${stack.server.url}/s3/token`, {
    method: "POST", headers: { "x-api-key": key, "content-type": "application/json" }, body: "{}",
  });
  const { base } = await made.json();
  const page = browser.context.pages()[0] ?? (await browser.context.newPage());
  return {
    ...stack, base, page,

    /** What the guide's function of a generation needs. */
    orderFor(name) {
      if (name === "6") return { address: `${base}/` };
      const bucket = `${stack.proxy.url}/${stack.bucket}`;
      return { address: stack.server.url, key, ...(name.startsWith("6") && { bucket }) };
    },

    /** A fresh page with one generation, and a file chosen. */
    async open(name, file) {
      await page.goto(site);
      await page.addScriptTag({ url: `${site}/${name}.js` });
      if (file) await page.locator("input").setInputFiles(file.path);
    },

    /** The object that was reported is the file; its key. */
    async assertArrived(url, file) {
      const path = decodeURIComponent(new URL(url).pathname).split("/").slice(2).join("/");
      const object = await stack.s3.digest(stack.bucket, path);
      assert.deepEqual(object, { status: 200, size: file.size, sha256: file.sha256 }, url);
      return path;
    },
  };
}

for (const store of STORES) {
  test(`Uppy 2 to 6 send files, ${store.name}`, { timeout: 120_000 }, async (t) => {
    const scene = await startScene(t, store);
    const large = await makeFile(scene.files, NAME, LARGE, 1401);
    const small = await makeFile(scene.files, `small ${NAME}`, 12_345, 1402);

    for (const name of Object.keys(GENERATIONS)) {
      for (const file of Number(name) <= 3 ? [large] : [large, small]) {
        await t.test(`version ${name}, ${file === large ? "in three parts" : "in one request"}`, async () => {
          await scene.open(name, file);
          const before = scene.proxy.parts.length;

          const { errors, urls } = await scene.page.evaluate(uploadInPage, scene.orderFor(name));

          assert.deepEqual(errors, []);
          const key = await scene.assertArrived(urls[0], file);
          assert.match(key, /^uploads\/.*_w_rld_\.mp4$/, "the key is ours, and the client tells it");
          assert.equal(scene.proxy.parts.length - before, file === large ? 3 : 0);
        });
      }
    }

    for (const name of ["6", "5"]) {
      await t.test(`version ${name} goes on after a reload and sends no finished part again`, async () => {
        await scene.open(name, large);
        scene.proxy.behaviour.bytesPerSecond = 4 * MIB;
        const before = scene.proxy.parts.length;
        const acknowledged = () => scene.proxy.parts.slice(before).filter((part) => part.acknowledgedAt);
        await scene.page.evaluate(beginInPage, scene.orderFor(name));
        await until("a finished part", () => acknowledged().length > 0);
        // What is remembered is written a moment later.
        await scene.page.waitForTimeout(700);

        await scene.open(name, large);
        scene.proxy.behaviour.bytesPerSecond = 200 * MIB;
        const { errors, urls } = await scene.page.evaluate(goOnInPage, scene.orderFor(name));

        assert.deepEqual(errors, []);
        await scene.assertArrived(urls[0], large);
        const seen = scene.proxy.sentAgain.filter((part) => scene.proxy.parts.indexOf(part) >= before);
        assert.deepEqual(seen, []);
      });
    }

    await t.test("what is wrong reaches the person", async () => {
      for (const [name, expected] of [["6", /We do not know who is asking/], ["5", /not known here|not ours/]]) {
        await scene.open(name, large);
        const order = { ...scene.orderFor(name), key: "nobodys-key-0123456789" };
        if (name === "6") order.address = `${scene.server.url}/t/nobodys-token`;
        const { errors } = await scene.page.evaluate(uploadInPage, order);
        assert.equal(errors.length, 1);
        assert.match(errors[0], name === "5" ? /authori[sz]ation required|not known here|not ours/i : expected);
      }
    });

    const token = scene.base.split("/").at(-1);
    assert.ok(!scene.server.log.includes(token), "the token does not stand in the log");
    assert.equal((await scene.s3.unfinished(scene.bucket)).length, 0, "nothing is left behind");
  });
}
