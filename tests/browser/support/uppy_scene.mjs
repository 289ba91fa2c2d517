// Pages of another site with Uppy's S3 plugin, and the stack behind them: what all tests of the real clients share.

import assert from "node:assert/strict";
import { startSite } from "./site.mjs";
import { MIB, startStack } from "./stack.mjs";
import { bundledUppy } from "./uppy.mjs";

/** Runs in the page: uploads the chosen file, and tells what the client tells its page. */
export async function uploadInPage(order) {
  const { guide } = globalThis;
  const [data] = document.querySelector("input").files;
  const make = guide.uppyFor ?? guide.uppySigning ?? guide.uppyWithCredentials;
  if (order.isCeph) guide.signTildesPlainly();
  const uppy = await make({ ...order, multipartFrom: 6 * 2 ** 20 });
  uppy.addFile({ name: data.name, type: data.type, data, meta: { relativePath: "Reise/2024", n: 7 } });
  const { successful, failed } = await uppy.upload();
  return {
    errors: failed.map((file) => String(file.error?.message ?? file.error)),
    urls: successful.map((file) => file.uploadURL),
    keys: successful.map((file) => file.response?.body?.key ?? file.response?.key),
  };
}

/** Runs in the page: begins an upload that the page will not see the end of. */
export function beginInPage(order) {
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
export function goOnInPage(order) {
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

/**
 * Everything that the tests of one store share.
 * @param {import("node:test").TestContext} t
 * @param {object} store
 * @param {string[]} generations which of them have a script
 * @param {{ settings?: object, serverProxy?: object, args?: string[] }} [options]
 */
export async function startScene(t, store, generations, { settings = {}, serverProxy, args } = {}) {
  const scripts = {};
  await Promise.all(generations.map(async (name) => {
    scripts[`/${name}.js`] = await bundledUppy(name);
  }));
  const site = await startSite(t, scripts);
  const stack = await startStack(t, {
    store, serverProxy, proxy: { bytesPerSecond: 200 * MIB }, settings: {
      MULETEER_CORS__ALLOWED_ORIGINS: `["${site}"]`,
      // Ceph's answer to a form has no ETag.
      MULETEER_PROTOCOLS__UPPY__FORMS: String(store.kind === "embedded"),
      ...settings,
    },
  });
  const browser = await stack.browser("someone", { args });
  const key = await stack.server.createKey("anna");
  const made = await fetch(`${stack.server.url}/s3/token`, {
    method: "POST", headers: { "x-api-key": key, "content-type": "application/json" }, body: "{}",
  });
  const { base } = await made.json();
  const page = browser.context.pages()[0] ?? (await browser.context.newPage());
  return {
    ...stack, base, page, site, key, scripts,

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
