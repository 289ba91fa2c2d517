import assert from "node:assert/strict";
import { test } from "node:test";
import { SERVER_EPOCH } from "./support/backend.js";
import { until } from "./support/environment.js";
import { scene } from "./support/scene.js";

test("addresses are fetched ahead, so that workers do not wait for one after the first", async (t) => {
  const { backend, upload } = await scene(t, { partSize: 10 });
  let largestBatch = 0;
  backend.onApi = ({ route, body }) => {
    if (!/signatures/.test(route)) return;
    const [first, last] = String(body.parts).split("-").map(Number);
    largestBatch = Math.max(largestBatch, last - first + 1);
    assert.equal(body.format, "compact");
  };

  await upload(10_000).start().finished();

  assert.equal(backend.acknowledged.length, 1000);
  assert.ok(largestBatch <= 257);
  assert.ok(backend.count(/signatures/) <= 8, `${backend.count(/signatures/)} calls`);
});

test("a browser clock that is a day off does not matter", async (t) => {
  const { backend, upload } = await scene(t);
  t.mock.method(Date, "now", () => SERVER_EPOCH + 86_400_000);

  await upload(20_000).start().finished();

  assert.equal(backend.count(/signatures/), 1);
});

test("addresses about to expire are replaced before they are used", async (t) => {
  const { backend, world, upload } = await scene(t, { addressLife: 100_000 });
  backend.onPart = ({ number, url }) => {
    if (number === 5) world.time += 90_000; // more than three quarters of their life
    assert.ok(Number(url.searchParams.get("expires")) > backend.now(), "no expired address is ever used");
  };

  await upload(10_000, { workers: 1 }).start().finished();

  assert.equal(backend.count(/signatures/), 2);
});

test("at half their life addresses are replaced behind the workers' backs", async (t) => {
  const { backend, world, upload } = await scene(t, { addressLife: 100_000 });
  const hanging = [];
  backend.onApi = ({ route }) => {
    if (/signatures/.test(route) && backend.count(/signatures/) === 2) {
      return new Promise((resolve) => hanging.push(resolve));
    }
    return undefined;
  };
  backend.onPart = ({ number }) => {
    if (number === 5) world.time += 60_000;
  };
  const film = upload(10_000, { workers: 1 });
  film.start();

  await until(() => backend.acknowledged.length === 10, "all parts go while the replacement is on its way");
  assert.equal(hanging.length, 1);
  hanging[0]();
  await film.finished();
});

test("addresses that expire all the time still bring the file home", async (t) => {
  const { backend, world, upload } = await scene(t, { addressLife: 4000 });
  backend.onPart = () => void (world.time += 1500);

  await upload(30_000, { workers: 1 }).start().finished();

  assert.equal(new Set(backend.acknowledged).size, 30);
  assert.equal(backend.acknowledged.length, 30);
});

test("where CORS hides the Date header the session's time is asked for", async (t) => {
  const { backend, env, upload } = await scene(t);
  const { fetch } = env;
  env.fetch = async (url, init) => {
    const response = await fetch(url, init);
    const headers = { get: (name) => (name === "Date" ? null : response.headers.get(name)) };
    return { status: response.status, headers, text: () => response.text() };
  };

  await upload(3000).start().finished();

  assert.equal(backend.count(/GET \/session/), 1);
});

test("credentials that the store takes no more are told to our server, and cost no part", async (t) => {
  const { backend, upload } = await scene(t);
  const told = [];
  backend.onApi = ({ route, body }) => {
    if (/signatures/.test(route)) told.push(body.refused);
  };
  backend.onPart = ({ number, attempt }) => {
    if (number !== 3 || attempt > 4) return undefined;
    const code = attempt % 2 === 0 ? "ExpiredToken" : "InvalidAccessKeyId";
    return { status: 403, body: `<Error><Code>${code}</Code><Message>No longer.</Message></Error>` };
  };

  await upload(10_000, { workers: 1 }).start().finished();

  assert.equal(new Set(backend.acknowledged).size, 10);
  assert.deepEqual(told, [undefined, "InvalidAccessKeyId", "ExpiredToken", "InvalidAccessKeyId", "ExpiredToken"]);
});

test("an address that is too late again and again is asked for anew", async (t) => {
  const { backend, upload } = await scene(t);
  backend.onPart = ({ number, attempt }) => {
    if (number !== 2 || attempt > 3) return undefined;
    return { status: 403, body: "<Error><Code>AccessDenied</Code><Message>Request has expired</Message></Error>" };
  };

  await upload(5000).start().finished();

  assert.equal(new Set(backend.acknowledged).size, 5);
});
