import assert from "node:assert/strict";
import { test } from "node:test";
import { NativeApi } from "../src/index.js";
import { problem } from "./support/backend.js";
import { scene } from "./support/scene.js";

test("a list is read page by page", async (t) => {
  const { backend, api } = await scene(t);
  backend.onApi = ({ route }) => {
    if (route !== "GET /uploads") return undefined;
    const isFirst = backend.log.length === 1;
    return { status: 200, body: { uploads: [{ id: isFirst ? "a" : "b" }], next_cursor: isFirst ? "next" : null } };
  };

  assert.deepEqual(await api.list("open"), [{ id: "a" }, { id: "b" }]);
});

test("an API key speaks for us until the upload has a token of its own", async (t) => {
  const seen = [];
  const { backend, env } = await scene(t, { onApi: ({ headers }) => void seen.push(headers) });
  const api = new NativeApi({ url: `${backend.api}/`, env, apiKey: () => "secret-key" });

  await api.session();
  await api.call("GET", "/uploads?state=open", undefined, { token: "t" });

  assert.equal(seen[0]["x-api-key"], "secret-key");
  assert.equal(seen[1]["x-api-key"], undefined);
  assert.equal(seen[1].authorization, "Bearer t");
});

test("a discarded upload may be discarded again", async (t) => {
  const { api, upload, backend } = await scene(t);
  const film = upload(10);
  await film.start().finished();

  await api.discard(film.id);
  await api.discard(film.id);

  assert.equal(backend.uploads.get(film.id).state, "aborted");
});

test("a 500 is tried six times and not for minutes", async (t) => {
  const { api, backend } = await scene(t, { onApi: () => problem(500, "internal", "Something broke.") });

  await assert.rejects(api.session(), { code: "internal", gaveUp: true });

  assert.equal(backend.log.length, 6);
});

test("a 503 or 429 is waited out as long as the server asks", async (t) => {
  for (const [status, code] of /** @type {const} */ ([
    [503, "unavailable"],
    [429, "too-fast"],
    [429, "quota-reached"],
  ])) {
    let refusals = 2;
    const { api, world } = await scene(t, {
      onApi: () => (refusals-- > 0 ? problem(status, code, "Not now.", { "Retry-After": "30" }) : undefined),
    });

    await api.session();

    assert.ok(world.time >= 60_000, code);
  }
});

test("an answer that is no JSON is named as such", async (t) => {
  const { api, env } = await scene(t);
  env.fetch = async () => new Response("<html>Log in to the hotel's network</html>");

  await assert.rejects(api.session(), { code: "bad-answer" });
});

test("an error page of a proxy still tells the status", async (t) => {
  const { api, env } = await scene(t);
  env.fetch = async () => new Response("<html>Forbidden</html>", { status: 403 });

  await assert.rejects(api.session(), { code: "http-403", status: 403, message: /status 403/ });
});

test("a call that is not answered in time is made again", async (t) => {
  let isFirst = true;
  const { api, world, backend } = await scene(t, {
    onApi: () => {
      if (!isFirst) return undefined;
      isFirst = false;
      setImmediate(() => world.advance(60_000));
      return "hang";
    },
  });

  await api.session();

  assert.equal(backend.log.length, 2);
});
