// The unmodified packages of Uppy's S3 plugin where more is in the way than in 14_…: visitors' cookies from here and from
// another origin, a multipart upload that vanished, a store that stumbles when all parts are there, and credentials that
// the browser signs with by itself.

import assert from "node:assert/strict";
import { mkdtemp, readFile, rm } from "node:fs/promises";
import { request } from "node:http";
import { createServer } from "node:https";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "node:test";
import { makeFile } from "./support/files.mjs";
import { run, until } from "./support/processes.mjs";
import { EMBEDDED, MIB, STORES, WITH_STS } from "./support/stack.mjs";
import { beginInPage, goOnInPage, startScene, uploadInPage } from "./support/uppy_scene.mjs";

/** Three parts of the smallest size that the clients cut. */
const LARGE = 10 * MIB + 4321;
const NAME = "héllo wörld 漢字.mp4";

/** Runs in a page of our own origin: its visitor's uploads. Whoever comes for the first time begins one, for the cookie. */
async function visitorsUploads(isNew) {
  const ask = async (options) => (await fetch("/api/v1/uploads", options)).json();
  if (isNew) {
    const body = JSON.stringify({ filename: "first.txt", size: 1 });
    await ask({ method: "POST", headers: { "content-type": "application/json" }, body });
  }
  const { uploads } = await ask();
  return uploads.map(({ key, state }) => ({ key, state }));
}

test("a visitor's cookie goes along, from the same and from another origin", { timeout: 120_000 }, async (t) => {
  const scene = await startScene(t, EMBEDDED, ["6", "5", "3"]);
  const file = await makeFile(scene.files, NAME, LARGE, 1901);
  // Of the same site as the page's, which is all that the cookie goes to; another origin by its port.
  const ours = `http://localhost:${new URL(scene.server.url).port}`;
  await scene.page.goto(ours);
  await scene.page.evaluate(visitorsUploads, true);

  for (const name of ["5", "3"]) {
    for (const cookies of [true, false]) {
      await t.test(`version ${name}, ${cookies ? "with" : "without"} its cookies rule`, async () => {
        await scene.open(name, file);
        const { errors, urls } = await scene.page.evaluate(uploadInPage, { address: ours, cookies });
        assert.deepEqual(errors, []);
        const key = await scene.assertArrived(urls[0], file);

        await scene.page.goto(ours);
        const theirs = await scene.page.evaluate(visitorsUploads, false);
        assert.deepEqual(theirs.filter((upload) => upload.key === key), cookies ? [{ key, state: "complete" }] : []);
      });
    }
  }

  await t.test("version 6 on our own origin", async () => {
    // In the page that is there, which may talk to the store, in place of one of the operator's behind the same host.
    await scene.page.goto(ours);
    await scene.page.evaluate(() => {
      document.body.innerHTML = "<input type=file>";
    });
    await scene.page.evaluate(scene.scripts["/6.js"]);
    await scene.page.locator("input").setInputFiles(file.path);
    const { errors, urls } = await scene.page.evaluate(uploadInPage, { address: ours });
    assert.deepEqual(errors, []);
    const key = await scene.assertArrived(urls[0], file);

    await scene.page.goto(ours);
    const theirs = await scene.page.evaluate(visitorsUploads, false);
    assert.deepEqual(theirs.filter((upload) => upload.key === key), [{ key, state: "complete" }]);
  });
});

for (const store of STORES) {
  test(`an upload that the store has lost goes on behind the same id, ${store.name}`, { timeout: 120_000 }, async (t) => {
    const scene = await startScene(t, store, ["6", "5"]);
    const file = await makeFile(scene.files, NAME, LARGE, 1902);
    for (const name of ["6", "5"]) {
      await t.test(`version ${name}`, async () => {
        await scene.open(name, file);
        scene.proxy.behaviour.bytesPerSecond = 4 * MIB;
        const before = scene.proxy.parts.length;
        await scene.page.evaluate(beginInPage, scene.orderFor(name));
        await until("a finished part", () => scene.proxy.parts.slice(before).some((part) => part.acknowledgedAt));
        // What is remembered is written a moment later.
        await scene.page.waitForTimeout(700);
        await scene.page.goto("about:blank");
        const { text } = await scene.s3.text("GET", `/${scene.bucket}`, { query: { uploads: "" } });
        const [key] = text.match(/(?<=<Key>)[^<]*/);
        const [lost] = await scene.s3.unfinished(scene.bucket);
        await scene.s3.text("DELETE", `/${scene.bucket}/${key}`, { query: { uploadId: lost } });

        await scene.open(name, file);
        scene.proxy.behaviour.bytesPerSecond = 200 * MIB;
        const again = scene.proxy.parts.length;
        const { errors, urls } = await scene.page.evaluate(goOnInPage, scene.orderFor(name));

        assert.deepEqual(errors, []);
        assert.equal(await scene.assertArrived(urls[0], file), key, "the key is still the one that the client knows");
        const sent = scene.proxy.parts.slice(again);
        assert.deepEqual(sent.map((part) => part.number).sort(), [1, 2, 3], "what was lost is sent again");
        assert.ok(sent.every((part) => part.uploadId !== lost), "to another upload of the store");
        assert.deepEqual(await scene.s3.unfinished(scene.bucket), []);
      });
    }
  });
}

const outside = STORES.find((store) => store.kind === "outside");

test("a store that stumbles over completing loses nothing", { timeout: 120_000, skip: !outside }, async (t) => {
  const scene = await startScene(t, outside, ["5", "4", "3"], { serverProxy: {} });
  const file = await makeFile(scene.files, NAME, LARGE, 1903);
  const deleted = [];
  scene.page.on("request", (request) => request.method() === "DELETE" && deleted.push(request.url()));
  for (const name of ["5", "4", "3"]) {
    await t.test(`version ${name}`, async () => {
      // More often than one request of ours is tried.
      let left = 6;
      scene.serverProxy.behaviour.otherFault = ({ method, path }) =>
        method === "POST" && path.includes("uploadId=") && left-- > 0 ? "500" : "pass";
      await scene.open(name, file);

      const { errors, urls } = await scene.page.evaluate(uploadInPage, scene.orderFor(name));

      assert.deepEqual(errors, []);
      assert.ok(left < 0, "it did stumble, and then it did not");
      assert.deepEqual(deleted, []);
      await scene.assertArrived(urls[0], file);
    });
  }
});

/** A gateway as AWS has it in front of its store: TLS, and its own host name, which is signed. */
async function startTls(test, folder, target) {
  const [key, cert] = [join(folder, "tls.key"), join(folder, "tls.crt")];
  const words = ["req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "1", "-subj", "/CN=s3", "-keyout", key, "-out", cert];
  await run("openssl", words, { cwd: folder, env: process.env });
  const server = createServer({ key: await readFile(key), cert: await readFile(cert) }, (incoming, outgoing) => {
    const { method, url: path, rawHeaders } = incoming;
    const onward = request(target, { method, path, headers: rawHeaders }, (answer) => {
      outgoing.writeHead(answer.statusCode, answer.rawHeaders);
      answer.pipe(outgoing);
    });
    onward.on("error", () => outgoing.destroy());
    incoming.pipe(onward);
    server.requests.push({ method, path });
  });
  server.requests = [];
  await new Promise((resolve) => server.listen(0, "127.0.0.1", resolve));
  test.after(() => {
    server.closeAllConnections();
    return new Promise((resolve) => server.close(resolve));
  });
  return server;
}

test("browsers that sign with credentials of their own", { timeout: 120_000, skip: !WITH_STS }, async (t) => {
  const folder = await mkdtemp(join(tmpdir(), "muleteer-tls-"));
  t.after(() => rm(folder, { recursive: true, force: true }));
  const aws = await startTls(t, folder, WITH_STS.endpoint);
  const scene = await startScene(t, WITH_STS, ["6-lent", "5-lent", "4-lent"], {
    settings: { MULETEER_LOG__FILTER: "muleteer=trace,info" },
    args: [`--host-resolver-rules=MAP *.amazonaws.com 127.0.0.1:${aws.address().port}`, "--ignore-certificate-errors"],
  });
  const large = await makeFile(scene.files, NAME, LARGE, 1904);
  const small = await makeFile(scene.files, `small ${NAME}`, 12_345, 1905);
  const order = { address: scene.server.url, key: scene.key, isCeph: true };
  const recorded = async () => (await scene.api("/uploads", { key: scene.key })).body.uploads.map((upload) => upload.key);

  for (const file of [large, small]) {
    const size = file === large ? "in three parts" : "in one request";
    await t.test(`version 6, ${size}`, async () => {
      await scene.open("6-lent", file);
      const { errors, urls } = await scene.page.evaluate(uploadInPage, order);
      assert.deepEqual(errors, []);
      const key = await scene.assertArrived(urls[0], file);
      assert.ok(key.startsWith("sts/anna/"), key);
      assert.ok(!(await recorded()).includes(key), "as the guide says, nobody tells us");
    });
    for (const name of ["5-lent", "4-lent"]) {
      await t.test(`version ${name[0]}, ${file === large ? size : "in one part"}`, async () => {
        await scene.open(name, file);
        const before = aws.requests.length;
        const { errors, urls } = await scene.page.evaluate(uploadInPage, order);
        assert.deepEqual(errors, []);
        const key = await scene.assertArrived(urls[0], file);
        assert.ok(key.startsWith("sts/anna/uploads/"), key);
        assert.ok((await recorded()).includes(key));
        const parts = aws.requests.slice(before).filter(({ method }) => method === "PUT");
        assert.equal(parts.length, file === large ? 3 : 1, "the browser signed each part itself");
      });
    }
  }
  // The server still has those that the pages got.
  const answer = await fetch(`${order.address}/s3/sts`, { headers: { authorization: `Bearer ${order.key}` } });
  const { credentials } = await answer.json();
  for (const name of ["SecretAccessKey", "SessionToken"]) {
    assert.ok(credentials[name].length > 10 && !scene.server.log.includes(credentials[name]), `${name} is in the log`);
  }
  assert.deepEqual(await scene.s3.unfinished(scene.bucket), []);
});
