import assert from "node:assert/strict";
import { test } from "node:test";
import { problem } from "./support/backend.js";
import { until } from "./support/environment.js";
import { bytesOf, scene } from "./support/scene.js";
import { HttpXhr } from "./support/xhr.js";

const CONTENT = /PUT \/uploads\/[^/]+\/parts\/\d+\/content/;

/** A scene, and everything that its upload says about the way. */
async function cutOff(t, settings = {}, size = 10_000, options = {}) {
  const all = await scene(t, { onPart: () => "reset", ...settings });
  const film = all.upload(size, options);
  const ways = [];
  film.on("route", (way) => ways.push(way));
  return { ...all, film, ways };
}

/** Every part has arrived once, by one way or the other. */
function assertOnce(backend, count) {
  const arrived = [...backend.acknowledged, ...backend.relayed].sort((a, b) => a - b);
  assert.deepEqual(arrived, Array.from({ length: count }, (_, index) => index + 1));
}

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

test("a store that refuses or is busy is not bypassed", async (t) => {
  for (const status of [400, 403, 503]) {
    const options = { policy: { patience: 60_000 } };
    const { backend, film, ways } = await cutOff(t, { onPart: () => ({ status }) }, 2000, options);
    await assert.rejects(film.start().finished());
    assert.equal(backend.count(CONTENT), 0);
    assert.deepEqual(ways, []);
  }
});

test("refusals that CORS hides are answered by new signatures, not by a detour", async (t) => {
  const { backend, film, ways } = await cutOff(t, {}, 50_000, { workers: 16 });
  // The store forgot the key that signed the first addresses: sixteen refusals that look like a cut line.
  backend.onPart = () => (backend.count(/signatures/) < 2 ? "reset" : undefined);

  await film.start().finished();

  assert.deepEqual(ways, []);
  assertOnce(backend, 50);
});

test("while our server is away as well nothing changes but time", async (t) => {
  const { backend, film, ways, world } = await cutOff(t, {}, 20_000);
  let isAway = false;
  backend.onApi = () => (isAway ? "reset" : undefined);
  backend.onPart = ({ number }) => {
    isAway ||= number === 5;
    return isAway ? "reset" : undefined;
  };
  film.on("retry", () => {
    if (world.time < 120_000) return;
    isAway = false;
    backend.onPart = () => {};
  });

  await film.start().finished();

  assert.deepEqual(ways, []);
  assert.equal(backend.count(CONTENT), 0);
  assertOnce(backend, 20);
});

test("offline is not cut off from the store", async (t) => {
  const { backend, film, ways, world } = await cutOff(t, {}, 6000, { workers: 2 });
  world.online = false;
  let tries = 0;
  backend.onPart = () => {
    tries += 1;
    return tries > 20 ? undefined : "reset";
  };

  await film.start().finished();

  assert.deepEqual(ways, []);
  assertOnce(backend, 6);
});

test("when both ways are cut it is an outage, and the first that answers is taken", async (t) => {
  const { backend, film, world } = await cutOff(t, {}, 8000, { workers: 2 });
  let isCut = false;
  let probes = 0;
  backend.onApi = () => {
    isCut ||= backend.relayed.length === 3;
    return isCut ? "reset" : undefined;
  };
  film.on("retry", () => {
    if (isCut && world.time > 240_000) backend.onPart = () => {}; // the store comes back, our server not yet
    if (backend.acknowledged.length > 0) backend.onApi = () => {};
  });
  backend.onPart = () => {
    if (isCut) probes += 1;
    return "reset";
  };

  const { id } = await film.start().finished();

  assert.ok(backend.acknowledged.length > 0);
  assert.ok(probes >= 6 && probes <= 16, `${probes} probes in four minutes: the pauses do not grow meanwhile`);
  assertOnce(backend, 8);
  assert.deepEqual(backend.bytes(id), await bytesOf(film.file));
});

test("our server busy with parts is waited for as it asks", async (t) => {
  let refusals = 2;
  const { backend, film, world, ways } = await cutOff(t, {
    onApi: ({ route }) => (CONTENT.test(route) && refusals-- > 0
      ? problem(503, "unavailable", "Busy.", { "Retry-After": "4" }) : undefined),
  }, 1000);

  await film.start().finished();

  assert.ok(world.time >= 8000);
  assert.deepEqual(backend.relayed, [1]);
  assert.deepEqual(ways, ["relay"]);
});

test("a token that has expired is replaced, and the part sent once more", async (t) => {
  let isRefused = false;
  const { backend, film } = await cutOff(t, {
    onApi: ({ route }) => {
      if (!CONTENT.test(route) || isRefused) return undefined;
      isRefused = true;
      return problem(401, "unauthorized", "Expired.");
    },
  }, 2000, { workers: 1 });

  await film.start().finished();

  assert.equal(backend.count(/^GET \/uploads\/up-1$/), 1);
  assert.deepEqual(backend.relayed, [1, 2]);
});

test("an upload that ended elsewhere meanwhile is said to have ended", async (t) => {
  const { backend, film } = await cutOff(t, {
    onApi: ({ route }) => void (CONTENT.test(route) && (backend.uploads.get("up-1").state = "aborted")),
  }, 2000);

  await assert.rejects(film.start().finished(), { code: "aborted" });
});

test("a part that stands still on its way through our server is sent again", async (t) => {
  let hangs = 1;
  const { backend, film, world } = await cutOff(t, {
    env: { XMLHttpRequest: HttpXhr },
    onApi: ({ route }) => (CONTENT.test(route) && hangs-- > 0 ? "hang" : undefined),
  }, 1000);
  const codes = [];
  film.on("retry", ({ error }) => codes.push(`${error.code}: ${error.message}`));
  film.start();
  await until(() => backend.count(CONTENT) === 1);

  world.advance(30_000);
  await film.finished();

  assert.equal(codes.at(-1), "stalled: The upload server stopped answering.");
  assert.deepEqual(backend.relayed, [1]);
});

test("progress through our server is seen part by part and byte by byte", async (t) => {
  const { film } = await cutOff(t, { env: { XMLHttpRequest: HttpXhr } }, 4000, { workers: 1 });
  const flights = new Set();
  let leftOver;
  film.on("route", () => (leftOver = film.progress.inFlight));
  film.on("progress", ({ inFlight, acknowledged }) => {
    assert.ok(acknowledged + inFlight <= 4000);
    if (film.route === "relay") flights.add(inFlight);
  });

  await film.start().finished();

  assert.equal(leftOver, 0, "what left in vain is not under way any more");
  assert.ok([256, 512, 768, 1000].every((bytes) => flights.has(bytes)), [...flights].join());
});

test("a pause on the detour silences the line, and going on sends no acknowledged part again", async (t) => {
  const { backend, film } = await cutOff(t);
  backend.onApi = ({ route }) => (CONTENT.test(route) && backend.relayed.length >= 4 ? "hang" : undefined);
  film.start();
  await until(() => film.progress.partsDone === 4 && backend.count(CONTENT) === 8);

  film.pause();
  await until(() => film.progress.inFlight === 0);
  backend.onApi = () => {};
  await film.resume().finished();

  assertOnce(backend, 10);
});

test("a pause in the middle of a probe leaves the next probe free", async (t) => {
  const { backend, film, world, ways } = await cutOff(t, {}, 6000, { workers: 1 });
  backend.onApi = ({ route }) => {
    if (!CONTENT.test(route) || backend.relayed.length > 0) return;
    world.time += 15_000;
    backend.onPart = () => "hang";
  };
  film.start();
  await until(() => backend.relayed.length === 1 && backend.log.at(-1) === "PUT part 2");

  film.pause();
  backend.onPart = () => {};
  await film.resume().finished();

  assert.deepEqual(backend.relayed, [1]);
  assertOnce(backend, 6);
  assert.deepEqual(ways, ["relay", "direct"]);
});

test("cancelling on the detour tells the server and sends no more", async (t) => {
  const { backend, film } = await cutOff(t);
  backend.onApi = ({ route }) => (CONTENT.test(route) ? "hang" : undefined);
  film.start();
  const ending = assert.rejects(film.finished(), { code: "cancelled" });
  await until(() => backend.count(CONTENT) === 4);

  await film.cancel();
  await ending;
  const requests = backend.log.length;
  await new Promise((resolve) => setTimeout(resolve, 20));

  assert.equal(backend.uploads.get(film.id).state, "aborted");
  assert.equal(backend.log.length, requests);
});

test("a file that changes on disk is named as the reason on the detour as well", async (t) => {
  const { backend, film } = await cutOff(t, {}, 3000, { workers: 1 });
  backend.onApi = ({ route }) => {
    if (!CONTENT.test(route)) return undefined;
    Blob.prototype.arrayBuffer = async () => { throw new DOMException("changed", "NotReadableError"); };
    return "reset";
  };
  const { arrayBuffer } = Blob.prototype;
  t.after(() => (Blob.prototype.arrayBuffer = arrayBuffer));

  await assert.rejects(film.start().finished(), { code: "file-changed" });
});

test("switched off, nothing ever takes the detour", async (t) => {
  let tries = 0;
  const { backend, film, ways } = await cutOff(t, {
    fallback: false,
    onPart: () => ((tries += 1) > 30 ? undefined : "reset"),
  }, 3000);

  await film.start().finished();

  assert.equal(backend.count(CONTENT), 0);
  assert.deepEqual(ways, []);
});
