import assert from "node:assert/strict";
import { test } from "node:test";
import { problem } from "./support/backend.js";
import { CONTENT, assertOnce, cutOff } from "./support/cut_off.js";
import { until } from "./support/environment.js";
import { bytesOf } from "./support/scene.js";
import { HttpXhr } from "./support/xhr.js";

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
