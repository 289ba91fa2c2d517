import assert from "node:assert/strict";
import { test } from "node:test";
import { problem } from "./support/backend.js";
import { until } from "./support/environment.js";
import { bytesOf, scene } from "./support/scene.js";
import { HttpXhr } from "./support/xhr.js";

test("a store that answers 503 and breaks connections still ends up with the right bytes", async (t) => {
  const fates = [{ status: 503, body: "<Error><Code>SlowDown</Code></Error>" }, "reset", "lose", undefined];
  const { backend, world, upload } = await scene(t, { onPart: ({ attempt, number }) => fates[(attempt + number) % 4] });
  const film = upload(9500);

  const { id } = await film.start().finished();

  assert.deepEqual(backend.bytes(id), await bytesOf(film.file));
  assert.ok(world.pauses.length > 0);
});

test("pauses grow, and the server's Retry-After comes on top", async (t) => {
  const { world, upload } = await scene(t, {
    onPart: ({ attempt }) => {
      if (attempt <= 3) return { status: 500 };
      return attempt === 4 ? { status: 503, headers: { "Retry-After": "7" } } : undefined;
    },
  });

  await upload(10).start().finished();

  assert.deepEqual(world.pauses, [250, 500, 1000, 7000 + 2000]);
});

test("our own server away for minutes delays nothing that the store can take, and then all goes on", async (t) => {
  const { backend, world, upload } = await scene(t);
  let isDown = false;
  let failedCalls = 0;
  backend.onApi = () => {
    if (!isDown) return undefined;
    failedCalls += 1;
    if (failedCalls >= 25) isDown = false;
    return "reset";
  };
  backend.onPart = ({ number }) => {
    if (number === 3) isDown = true;
  };
  const film = upload(50_000);

  const { id } = await film.start().finished();

  assert.equal(backend.acknowledged.length, 50);
  assert.equal(new Set(backend.acknowledged).size, 50);
  assert.deepEqual([...new Set(backend.uploads.get(id).records)].length, 50);
  assert.ok(world.time > 60_000, "minutes passed for the kit");
});

test("patience has an end, and a person may start again", async (t) => {
  const { backend, upload } = await scene(t, { onApi: ({ route }) => (/complete/.test(route) ? "reset" : undefined) });
  const film = upload(1500, { policy: { patience: 120_000 } });

  await assert.rejects(film.start().finished(), { code: "network" });
  assert.equal(film.state, "failed");
  backend.onApi = () => {};
  await film.start().finished();

  assert.equal(film.state, "complete");
  assert.equal(film.error, null);
  assert.equal(backend.acknowledged.length, 2);
});

test("a file that is looked at before it counts is waited for, however long that takes", async (t) => {
  const { backend, world, upload } = await scene(t);
  let asked = 0;
  backend.onApi = ({ route }) => {
    if (!/complete/.test(route)) return undefined;
    asked += 1;
    return asked < 40 ? problem(503, "still-completing", "It is looked at.", { "Retry-After": "1" }) : undefined;
  };
  const film = upload(1500, { policy: { patience: 20_000 } });

  await film.start().finished();

  assert.equal(film.state, "complete");
  assert.ok(world.time > 40_000, "longer than anything may fail");
});

test("a part whose address is refused is signed anew once", async (t) => {
  const { backend, world, upload } = await scene(t, {
    onPart: ({ number, attempt }) => (number === 2 && attempt === 1 ? { status: 403 } : undefined),
  });

  await upload(3000).start().finished();

  assert.equal(backend.count(/signatures/), 2);
  assert.deepEqual(world.pauses, [], "a fresh address needs no pause");
});

test("a part that is refused with a fresh address as well fails the upload with the store's words", async (t) => {
  const body = "<Error><Code>AccessDenied</Code><Message>Not yours</Message></Error>";
  const { backend, upload } = await scene(t, {
    onPart: ({ number }) => (number === 2 ? { status: 403, body } : undefined),
  });
  const film = upload(3000);

  await assert.rejects(film.start().finished(), { code: "refused", message: /part 2 .*AccessDenied: Not yours/ });

  assert.equal(backend.count(/PUT part 2/), 2);
});

test("after a failure without a status the part is signed anew, since CORS hides refusals", async (t) => {
  const { backend, upload } = await scene(t, {
    onPart: ({ number, attempt }) => (number === 1 && attempt === 1 ? "reset" : undefined),
  });

  await upload(1000).start().finished();

  assert.equal(backend.count(/signatures/), 2);
});

test("while our server is away too, the old address is tried again", async (t) => {
  const { backend, upload } = await scene(t);
  let isDown = false;
  backend.onApi = () => (isDown ? "reset" : undefined);
  backend.onPart = ({ attempt }) => {
    isDown = attempt === 1;
    return attempt === 1 ? "reset" : undefined;
  };

  await upload(1000).start().finished();

  assert.deepEqual(backend.acknowledged, [1]);
});

test("parts named at the end as missing are sent again", async (t) => {
  const { backend, upload } = await scene(t);
  let isFirst = true;
  backend.onApi = ({ route }) => {
    if (!/complete/.test(route) || !isFirst) return undefined;
    isFirst = false;
    backend.uploads.get("up-1").parts.delete(2); // the store lost it
    return undefined;
  };
  const film = upload(4000);

  const { id } = await film.start().finished();

  assert.deepEqual(backend.acknowledged.filter((number) => number === 2).length, 2);
  assert.equal(backend.acknowledged.length, 5);
  assert.deepEqual(backend.bytes(id), await bytesOf(film.file));
});

test("an upload that never becomes whole is given up after three repairs", async (t) => {
  const { backend, upload } = await scene(t, {
    onApi: ({ route }) => {
      if (!/complete/.test(route)) return undefined;
      const { status, body } = problem(409, "incomplete", "Part 1 is missing.");
      return { status, body: { ...body, defects: [{ problem: "missing", number: 1 }], total: 1 } };
    },
  });

  await assert.rejects(upload(1000).start().finished(), { code: "incomplete" });

  assert.equal(backend.acknowledged.length, 4);
});

test("an upload that has vanished from the store begins anew, once", async (t) => {
  const { backend, upload } = await scene(t);
  backend.onPart = ({ number }) => {
    if (number === 3) backend.uploads.get("up-1").isGone = true;
  };
  const film = upload(5000);

  const { id } = await film.start().finished();

  assert.equal(id, "up-2");
  assert.equal(backend.uploads.get("up-2").asked.resume, false);
  assert.deepEqual(backend.bytes(id), await bytesOf(film.file));
});

test("an upload that vanishes again and again fails", async (t) => {
  const { backend, upload } = await scene(t);
  backend.onPart = ({ number }) => {
    if (number === 2) for (const each of backend.uploads.values()) each.isGone = true;
  };

  await assert.rejects(upload(5000).start().finished(), { code: "vanished" });

  assert.equal(backend.uploads.size, 2);
});

test("a lost answer to the last call is asked for again", async (t) => {
  const { backend, upload } = await scene(t);
  let isLost = false;
  backend.onApi = ({ route }) => {
    if (!/complete/.test(route) || isLost) return undefined;
    isLost = true;
    return "lose";
  };

  const result = await upload(2000).start().finished();

  assert.equal(result.etag, '"whole"');
  assert.equal(backend.count(/complete/), 2);
});

test("a line that stops moving is noticed after 15 seconds and the part is sent again", async (t) => {
  let isFirst = true;
  class Freezing extends HttpXhr {
    async send(body) {
      if (!isFirst) return super.send(body);
      isFirst = false;
      this.upload.onprogress({ loaded: 500 });
      return undefined;
    }
  }
  const { backend, world, upload } = await scene(t, { env: { XMLHttpRequest: Freezing } });
  const film = upload(1000);
  const retries = [];
  film.on("retry", ({ error, part }) => retries.push([error.code, part]));
  film.start();
  await until(() => film.progress.inFlight === 500);

  world.advance(14_999);
  assert.deepEqual(retries, []);
  world.advance(1);
  await film.finished();

  assert.deepEqual(retries, [["stalled", 1]]);
  assert.deepEqual(backend.acknowledged, [1]);
});

test("a store that has the body and never answers is left after twice the time, then waited for longer", async (t) => {
  let hangs = 2;
  const { backend, world, upload } = await scene(t, {
    env: { XMLHttpRequest: HttpXhr },
    fallback: false,
    onPart: () => (hangs-- > 0 ? "hang" : undefined),
  });
  const film = upload(1000);
  let retries = 0;
  film.on("retry", () => (retries += 1));
  film.start();
  await until(() => backend.count(/PUT part/) === 1);

  world.advance(30_000);
  await until(() => backend.count(/PUT part/) === 2);
  world.advance(30_000);
  assert.equal(retries, 1, "the second wait is twice as long");
  world.advance(30_000);
  await film.finished();

  assert.equal(retries, 2);
});

test("offline, the kit waits without trying and goes on by itself", async (t) => {
  const { backend, world, upload } = await scene(t);
  world.pausesPassByThemselves = false;
  backend.onPart = ({ number, attempt }) => {
    if (number > 2 && attempt === 1) {
      if (world.online) world.goOnline(false);
      return "reset";
    }
    return undefined;
  };
  const film = upload(6000, { workers: 2 });
  film.start();
  await until(() => film.state === "offline");
  await until(() => backend.partsAtOnce === 0);
  world.advance(14_000); // longer than the first pause: they are at rest for being offline
  await new Promise((resolve) => setTimeout(resolve, 20));
  const requests = backend.log.length;
  await new Promise((resolve) => setTimeout(resolve, 20));
  assert.equal(backend.log.length, requests);

  backend.onPart = () => {};
  world.goOnline(true);
  await film.finished();

  assert.equal(film.state, "complete");
});

test("a wrong offline flag does not stop uploads for ever", async (t) => {
  const { world, upload } = await scene(t);
  world.online = false;

  const film = upload(1000);
  await film.start().finished();

  assert.equal(film.state, "complete");
});

test("a file that changes on disk is named as the reason", async (t) => {
  const { backend, upload } = await scene(t, { onPart: () => "reset" });
  const film = upload(2000);
  film.start();
  const { file } = film;
  await until(() => backend.log.length > 1);
  file.slice = () => ({
    size: 1000,
    slice: () => ({ arrayBuffer: async () => { throw new DOMException("changed", "NotReadableError"); } }),
  });

  await assert.rejects(film.finished(), { code: "file-changed", message: /changed, moved or deleted/ });
});

test("what the server refuses is told in its own words and not repeated", async (t) => {
  const { backend, upload } = await scene(t, {
    onApi: () => ({
      status: 413,
      body: { type: "/problems/too-large", title: "Too large", detail: "At most 5 bytes.", limit: 5,
        errors: [{ field: "size", detail: "is 10" }] },
    }),
  });

  const error = await upload(10).start().finished().catch((thrown) => thrown);

  assert.equal(error.code, "too-large");
  assert.equal(error.message, "At most 5 bytes. (size: is 10)");
  assert.equal(error.problem.limit, 5);
  assert.equal(backend.log.length, 1);
});

test("a failing record neither slows the workers nor stops the end", async (t) => {
  const { backend, upload } = await scene(t, {
    onApi: ({ route }) => (/parts/.test(route) ? problem(400, "bad-request", "no") : undefined),
  });

  await upload(5000).start().finished();

  assert.equal(backend.acknowledged.length, 5);
});

test("an upload token that has expired is replaced once", async (t) => {
  let isRefused = false;
  const { backend, upload } = await scene(t, {
    onApi: ({ route, headers }) => {
      if (!/signatures/.test(route) || isRefused) return undefined;
      assert.equal(headers.authorization, "Bearer token-1");
      isRefused = true;
      return problem(401, "unauthorized", "expired");
    },
  });

  await upload(2000).start().finished();

  assert.equal(backend.count(/^GET \/uploads\/up-1$/), 1);
});
