import assert from "node:assert/strict";
import { test } from "node:test";
import { problem } from "./support/backend.js";
import { CONTENT, assertOnce, cutOff } from "./support/cut_off.js";
import { bytesOf } from "./support/scene.js";

/** A server that keeps files itself; whoever tried the straight way all the same would be cut off. */
const RELAYED = { transfer: "relay" };

for (const fallback of [true, false]) {
  test(`what the server keeps itself goes through it at once, fallback ${fallback}`, async (t) => {
    const { backend, film, ways } = await cutOff(t, { ...RELAYED, fallback });

    const { id } = await film.start().finished();

    assert.deepEqual(backend.bytes(id), await bytesOf(film.file));
    assertOnce(backend, 10);
    assert.equal(backend.relayed.length, 10);
    assert.equal(backend.count(/signatures|PUT part|POST .*parts/), 0, "nothing is signed, tried or reported");
    assert.deepEqual(ways, ["relay"]);
  });
}

test("a part that the server refuses is not tried elsewhere", async (t) => {
  const { backend, film } = await cutOff(t, {
    ...RELAYED,
    onApi: ({ route }) => (CONTENT.test(route) ? problem(413, "too-large", "A proxy takes no such body.") : undefined),
  });

  await assert.rejects(film.start().finished(), { status: 413 });

  assert.equal(backend.count(/signatures|PUT part/), 0);
});

test("a server that is away for a moment is waited for", async (t) => {
  let breaks = 2;
  const { backend, film } = await cutOff(t, {
    ...RELAYED,
    onApi: ({ route }) => (CONTENT.test(route) && breaks-- > 0 ? "reset" : undefined),
  });

  const { id } = await film.start().finished();

  assert.deepEqual(backend.bytes(id), await bytesOf(film.file));
  assert.equal(backend.count(/signatures|PUT part/), 0);
});
