// The unmodified packages of Uppy's S3 plugin, five generations of it, in a page of another site, set up as
// docs/front-ends/uppy.md prints it: what they send arrives byte for byte, and what arrived is not sent again.

import assert from "node:assert/strict";
import { test } from "node:test";
import { makeFile } from "./support/files.mjs";
import { until } from "./support/processes.mjs";
import { MIB, STORES } from "./support/stack.mjs";
import { GENERATIONS } from "./support/uppy.mjs";
import { beginInPage, goOnInPage, startScene, uploadInPage } from "./support/uppy_scene.mjs";

/** Three parts of the smallest size that the clients cut. */
const LARGE = 10 * MIB + 4321;
const NAME = "héllo wörld 漢字.mp4";

/** Those whose requests we sign. */
const NAMES = Object.keys(GENERATIONS).filter((name) => !name.endsWith("-lent"));

for (const store of STORES) {
  test(`Uppy 2 to 6 send files, ${store.name}`, { timeout: 120_000 }, async (t) => {
    const scene = await startScene(t, store, NAMES);
    const large = await makeFile(scene.files, NAME, LARGE, 1401);
    const small = await makeFile(scene.files, `small ${NAME}`, 12_345, 1402);

    for (const name of NAMES) {
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
