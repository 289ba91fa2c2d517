// Everything that one test needs, put together: server, store, the proxy between browser and store, browsers,
// a folder for files; and all of it taken down again.

import assert from "node:assert/strict";
import { randomBytes } from "node:crypto";
import { mkdtemp, mkdir, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { Browser } from "./page.mjs";
import { freePort } from "./processes.mjs";
import { S3 } from "./s3.mjs";
import { Server } from "./server.mjs";
import { StoreProxy } from "./store_proxy.mjs";

export const MIB = 1 << 20;

const { S3_ENDPOINT, S3_KEY, S3_SECRET, S3_STS_ENDPOINT, S3_STS_ROLE } = process.env;

/**
 * The stores that the main points are proved on: the embedded one, and an outside one where `scripts/test` (or
 * somebody else) has started it. `partSize` is the smallest comfortable one: the outside store keeps S3's 5 MiB.
 */
export const STORES = [
  { name: "the embedded store", kind: "embedded", partSize: MIB },
  ...(S3_ENDPOINT ? [{ name: "an outside S3 server", kind: "outside", partSize: 5 * MIB }] : []),
];

export const EMBEDDED = STORES[0];

/** An outside store with an STS, where there is one. */
export const WITH_STS = S3_STS_ENDPOINT && {
  name: "an outside S3 server with STS", kind: "outside", partSize: 5 * MIB, endpoint: S3_STS_ENDPOINT,
  settings: { MULETEER_PROTOCOLS__UPPY__STS__ROLE_ARN: S3_STS_ROLE },
};

/**
 * @param {import("node:test").TestContext} test everything ends with it
 * @param {object} [options]
 * @param {{ kind: string, partSize: number }} [options.store]
 * @param {object} [options.proxy] behaviour of the proxy between browser and store
 * @param {object} [options.serverProxy] an outside store only: puts a second proxy between our server and the store
 * @param {Record<string, string | number>} [options.settings] further `MULETEER_…` variables
 */
export async function startStack(test, { store = EMBEDDED, proxy = {}, serverProxy, settings = {} } = {}) {
  const folder = await mkdtemp(join(tmpdir(), "muleteer-browser-"));
  const cleanUps = [() => rm(folder, { recursive: true, force: true, maxRetries: 5 })];
  test.after(async () => {
    for (const cleanUp of cleanUps.reverse()) await cleanUp();
  });
  const [files, data] = [join(folder, "files"), join(folder, "data")];
  await Promise.all([mkdir(files), mkdir(data)]);

  const access = store.kind === "embedded" ? await embeddedStore(store) : await outsideStore(store);
  const storeProxy = await StoreProxy.start(access.endpoint, proxy);
  cleanUps.push(() => storeProxy.stop());
  const variables = {
    ...access.settings,
    MULETEER_S3__PUBLIC_ENDPOINT: storeProxy.url,
    MULETEER_UPLOADS__PART_SIZE: store.partSize,
    ...settings,
  };
  let behind;
  if (serverProxy && store.kind === "outside") {
    behind = await StoreProxy.start(access.endpoint, serverProxy);
    cleanUps.push(() => behind.stop());
    variables.MULETEER_S3__ENDPOINT = behind.url;
  }
  const server = await Server.start(
    data, Object.fromEntries(Object.entries(variables).map(([name, value]) => [name, String(value)])));
  cleanUps.push(() => server.stop());
  const s3 = new S3(access);

  return {
    folder, files, server, s3, proxy: storeProxy, serverProxy: behind, bucket: access.bucket,

    /** A browser with a profile of its own; the same `person` again is the same profile. */
    async browser(person = "someone", options = {}) {
      const browser = await Browser.open(join(folder, `profile-${person}`), options);
      let open = true;
      const close = browser.close.bind(browser);
      browser.close = async () => {
        if (open) await close();
        open = false;
      };
      cleanUps.push(() => browser.close());
      return browser;
    },

    /** One request to our server; answers status and JSON. */
    async api(path, { method = "GET", key, token, body, headers = {} } = {}) {
      const answer = await fetch(`${server.url}/api/v1${path}`, {
        method,
        headers: {
          ...(key && { "x-api-key": key }),
          ...(token && { authorization: `Bearer ${token}` }),
          ...(body !== undefined && { "content-type": "application/json" }),
          ...headers,
        },
        body: body === undefined || typeof body === "string" ? body : JSON.stringify(body),
      });
      const text = await answer.text();
      const type = answer.headers.get("content-type") ?? "";
      return { status: answer.status, type, headers: answer.headers, body: type.includes("json") ? JSON.parse(text) : text };
    },

    /** Holds the finished object against the file, byte for byte. */
    async assertArrived(upload, file) {
      assert.equal(upload.state, "complete");
      assert.equal(upload.size, file.size);
      const object = await s3.digest(upload.bucket, upload.key);
      assert.deepEqual(object, { status: 200, size: file.size, sha256: file.sha256 }, `object of ${file.name}`);
    },
  };
}

async function embeddedStore(store) {
  const port = await freePort();
  const [accessKey, secret] = ["browser-tests", randomBytes(20).toString("hex")];
  return {
    endpoint: `http://127.0.0.1:${port}`, accessKey, secret, bucket: "uploads",
    settings: {
      MULETEER_DEV_S3__PORT: port,
      MULETEER_DEV_S3__ACCESS_KEY_ID: accessKey,
      MULETEER_DEV_S3__SECRET_ACCESS_KEY: secret,
      MULETEER_DEV_S3__MIN_PART_SIZE: Math.min(store.partSize, 5 * MIB),
    },
  };
}

async function outsideStore({ endpoint = S3_ENDPOINT, settings = {} }) {
  const bucket = `muleteer-${randomBytes(6).toString("hex")}`;
  const access = { endpoint, accessKey: S3_KEY, secret: S3_SECRET, bucket };
  await new S3(access).createOpenBucket(bucket);
  return {
    ...access,
    settings: {
      MULETEER_S3__BUCKET: bucket,
      MULETEER_S3__ENDPOINT: endpoint,
      MULETEER_S3__ACCESS_KEY_ID: S3_KEY,
      MULETEER_S3__SECRET_ACCESS_KEY: S3_SECRET,
      ...settings,
    },
  };
}
