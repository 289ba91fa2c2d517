import assert from "node:assert/strict";
import { test } from "node:test";
import { problem } from "./support/backend.js";
import { CONTENT, assertOnce, cutOff } from "./support/cut_off.js";
import { until } from "./support/environment.js";
import { bytesOf } from "./support/scene.js";
import { HttpXhr } from "./support/xhr.js";

test("a store that cannot be reached is bypassed after three failures, each with a new signature", async (t) => {
  const { backend, film, ways, world } = await cutOff(t, {}, 10_000, { workers: 1 });
  const retries = [];
  film.on("retry", ({ error }) => retries.push(error.code));

  const { id } = await film.start().finished();

  assert.equal(backend.count(/PUT part/), 3);
  assert.equal(backend.count(/signatures/), 3);
  assert.deepEqual(retries, ["network", "network"], "the third failure is none of the part: it goes on at once");
  assert.equal(world.pauses.length, 2);
  assertOnce(backend, 10);
  assert.deepEqual(backend.bytes(id), await bytesOf(film.file));
  assert.deepEqual(ways, ["relay"]);
  assert.equal(film.route, "relay");
  assert.deepEqual(film.progress, { size: 10_000, acknowledged: 10_000, inFlight: 0, partsDone: 10, partCount: 10 });
});

test("what our server passed on it has recorded itself", async (t) => {
  const { backend, film } = await cutOff(t);

  const { id } = await film.start().finished();

  assert.equal(backend.count(/POST .*parts/), 0);
  assert.equal(backend.uploads.get(id).records.length, 10);
});

test("a part through our server is its raw bytes, in the upload's own name", async (t) => {
  const seen = [];
  const { film } = await cutOff(t, {
    onApi: ({ route, body, headers }) => void (CONTENT.test(route) && seen.push({ body, headers })),
  }, 500);

  await film.start().finished();

  const [{ body, headers }] = seen;
  assert.deepEqual(body, await bytesOf(film.file));
  assert.equal(headers.authorization, "Bearer token-1");
  assert.equal(headers["content-type"], "application/octet-stream");
  assert.equal(headers["content-length"], "500");
});

test("two failures are none: the third try goes straight as ever", async (t) => {
  const onPart = ({ attempt }) => (attempt < 3 ? "reset" : undefined);
  const { backend, film, ways } = await cutOff(t, { onPart }, 900);

  await film.start().finished();

  assert.deepEqual(backend.acknowledged, [1]);
  assert.deepEqual(ways, []);
});

for (const workers of [4, 16]) {
  test(`${workers} workers cut off at once try three times each at most, then share the other way`, async (t) => {
    const { backend, film, ways } = await cutOff(t, {}, 100_000, { workers });

    const { id } = await film.start().finished();

    assertOnce(backend, 100);
    assert.deepEqual(backend.bytes(id), await bytesOf(film.file));
    assert.ok(backend.count(/PUT part/) >= workers + 2 && backend.count(/PUT part/) <= workers * 3);
    assert.deepEqual(ways, ["relay"]);
  });
}

test("one probe at a time looks for the store, and its failure costs the part no pause", async (t) => {
  const { backend, film, world } = await cutOff(t, {}, 100_000, { workers: 16 });
  let atOnce = 0;
  let most = 0;
  let isBypassed = false;
  backend.onApi = ({ route }) => {
    if (!CONTENT.test(route)) return;
    isBypassed ||= backend.relayed.length > 32; // whoever was on the straight way before has changed over
    world.time += 1000;
  };
  backend.onPart = async () => {
    if (!isBypassed) return "reset";
    atOnce += 1;
    most = Math.max(most, atOnce);
    await new Promise((resolve) => setTimeout(resolve, 5));
    atOnce -= 1;
    return "reset";
  };
  film.start();
  await until(() => isBypassed);
  const [before, pauses] = [backend.count(/PUT part/), world.pauses.length];
  await film.finished();

  assert.equal(most, 1);
  const probes = backend.count(/PUT part/) - before;
  assert.ok(probes >= 1 && probes <= 4, `${probes} probes in 67 s`);
  assert.equal(world.pauses.length, pauses);
  assertOnce(backend, 100);
});

test("the first part that the store takes again brings the straight way back", async (t) => {
  const { backend, film, ways, world } = await cutOff(t, {}, 40_000, { workers: 4 });
  backend.onApi = ({ route }) => {
    if (!CONTENT.test(route)) return;
    world.time += 1000;
    if (backend.relayed.length === 8) backend.onPart = () => {};
  };

  const { id } = await film.start().finished();

  assert.deepEqual(ways, ["relay", "direct"]);
  assert.equal(film.route, "direct");
  assert.ok(backend.acknowledged.length > 10, `${backend.acknowledged.length} parts went straight again`);
  assertOnce(backend, 40);
  assert.deepEqual(backend.bytes(id), await bytesOf(film.file));
});

test("a probe that stands still takes the other way after five seconds", async (t) => {
  class Xhr extends HttpXhr {
    async send(body) {
      if (isDead && this.url.includes("/store/")) return undefined; // not even a connection
      return super.send(body);
    }
  }
  let isDead = false;
  const { backend, film, world } = await cutOff(t, { env: { XMLHttpRequest: Xhr } }, 5000, { workers: 1 });
  const retries = [];
  backend.onApi = ({ route }) => {
    if (!CONTENT.test(route) || isDead) return;
    isDead = true;
    world.time += 15_000;
    film.on("retry", (retry) => retries.push(retry));
  };
  film.start();
  await until(() => backend.relayed.length === 1 && backend.count(/signatures/) > 2);
  await new Promise((resolve) => setTimeout(resolve, 20));
  assert.equal(backend.relayed.length, 1, "the second part probes");
  world.advance(4999);
  await new Promise((resolve) => setTimeout(resolve, 20));
  assert.equal(backend.relayed.length, 1);

  world.advance(1);
  await until(() => film.state === "complete");

  assert.deepEqual(backend.relayed, [1, 2, 3, 4, 5]);
  assert.deepEqual(retries, []);
});

test("other files under the same protocol need not find out for themselves", async (t) => {
  const { backend, film, upload } = await cutOff(t, {}, 3000);
  await film.start().finished();
  const tries = backend.count(/PUT part/);

  const other = upload(3000, { fileName: "other.mp4" });
  await other.start().finished();

  assert.equal(backend.count(/PUT part/), tries);
  assert.equal(other.route, "relay");
});

for (const [what, reply] of [
  ["a 405", { status: 405 }], ["a 404", problem(404, "not-found", "No such address.")],
  ["a 413 of something before it", { status: 413 }], ["a page instead of JSON", { status: 200, body: "<html>" }],
]) {
  test(`${what} for a part's bytes ends the detour for good, and the parts go straight`, async (t) => {
    let refusals = 0;
    const { backend, film, ways, env } = await cutOff(t, {}, 5000, { workers: 1 });
    const { fetch } = env;
    env.fetch = async (url, init) => {
      if (!String(url).endsWith("/content")) return fetch(url, init);
      refusals += 1;
      const text = typeof reply.body === "string" ? reply.body : JSON.stringify(reply.body);
      return new Response(text, { status: reply.status });
    };
    film.on("retry", () => {
      if (refusals === 1 && backend.count(/PUT part/) > 8) backend.onPart = () => {};
    });

    const ending = film.start().finished();
    await until(() => refusals > 1 || film.state === "complete");
    const { id } = refusals > 1 ? assert.fail("asked again") : await ending;

    assert.equal(refusals, 1);
    assert.deepEqual(backend.bytes(id), await bytesOf(film.file));
    assert.deepEqual(backend.acknowledged, [1, 2, 3, 4, 5]);
    assert.deepEqual(ways, ["relay", "direct"]);
  });
}
