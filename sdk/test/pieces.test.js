import assert from "node:assert/strict";
import { test } from "node:test";
import { DONE, Memory, Meter, MISSING, Pool, Slices, UNDER_WAY, fingerprint } from "../src/index.js";
import { DEFAULT_POLICY, pauseAfter } from "../src/retry.js";
import { World } from "./support/environment.js";
import { file } from "./support/scene.js";

test("slices cover the file without gap or overlap", () => {
  for (const size of [1, 9, 10, 11, 95, 100]) {
    const slices = new Slices(size, 10, Math.ceil(size / 10));
    let sum = 0;
    for (let n = 1; n <= slices.count; n += 1) sum += slices.sizeOf(n);
    assert.equal(sum, size);
  }
});

test("slices are claimed in order, and one that is given back comes first again", () => {
  const slices = new Slices(50, 10, 5);
  assert.deepEqual([slices.claim(), slices.claim(), slices.claim()], [1, 2, 3]);
  slices.done(1);
  slices.missing(2);
  assert.deepEqual([...slices.states], [DONE, MISSING, UNDER_WAY, MISSING, MISSING]);
  assert.deepEqual(slices.outstanding(9), [2, 3, 4, 5]);
  assert.deepEqual([slices.claim(), slices.claim(), slices.claim(), slices.claim()], [2, 4, 5, null]);
});

test("what the store holds counts only in its right size", () => {
  const slices = new Slices(25, 10, 3);
  slices.adopt([{ number: 1, size: 10 }, { number: 2, size: 9 }, { number: 3, size: 5 }, { number: 4, size: 10 }]);
  assert.deepEqual(slices.outstanding(9), [2]);
  assert.equal(slices.acknowledged, 15);
});

test("a part is counted once, however often it is acknowledged", () => {
  const slices = new Slices(20, 10, 2);
  slices.sent(1, 4);
  assert.equal(slices.inFlight, 0, "nobody has claimed it");
  slices.claim();
  slices.sent(1, 4);
  assert.equal(slices.inFlight, 4);
  slices.done(1);
  slices.done(1);
  assert.equal(slices.acknowledged, 10);
  assert.equal(slices.inFlight, 0);
  slices.missing(1);
  assert.equal(slices.acknowledged, 0);
  assert.ok(!slices.isWhole);
});

test("pauses lie between nothing and a bound that doubles up to a limit", () => {
  for (const [failures, bound] of [[1, 500], [2, 1000], [3, 2000], [6, 15_000], [60, 15_000], [5000, 15_000]]) {
    assert.equal(pauseAfter(failures, 0, DEFAULT_POLICY, () => 0), 0);
    assert.equal(pauseAfter(failures, 0, DEFAULT_POLICY, () => 1), bound);
    assert.equal(pauseAfter(failures, 3000, DEFAULT_POLICY, () => 0), 3000);
  }
});

test("a pool grants by rank, and a lower cap lets what is under way finish", async () => {
  const pool = new Pool(2);
  const { signal } = new AbortController();
  const order = [];
  const ends = [];
  const use = (name, rank) => pool.use(rank, signal, () => {
    order.push(name);
    return new Promise((resolve) => ends.push(resolve));
  });
  const uses = [use("a", 1), use("b", 1), use("late", 3), use("early", 2)];
  const settled = () => new Promise((resolve) => setImmediate(resolve));
  await settled();
  assert.equal(pool.taken, 2);
  pool.limit = 1;
  ends.shift()();
  await uses[0];
  assert.equal(pool.taken, 1);
  ends.shift()();
  await uses[1];
  await settled();
  ends.shift()();
  await uses[3];
  await settled();
  ends.shift()();
  await uses[2];
  assert.deepEqual(order, ["a", "b", "early", "late"]);
  assert.equal(pool.taken, 0);
});

test("whoever leaves the line of a pool takes no slot", async () => {
  const pool = new Pool(1);
  const leaving = new AbortController();
  let end = () => {};
  const first = pool.use(1, new AbortController().signal, () => new Promise((resolve) => (end = resolve)));
  const second = pool.use(2, leaving.signal, async () => assert.fail("must not run"));
  leaving.abort(new Error("left"));
  await assert.rejects(second, /left/);
  end();
  await first;
  assert.equal(pool.taken, 0);
});

test("a memory survives foreign text, full storage and no storage", () => {
  const entry = { id: "1", name: "a", size: 1, lastModified: undefined };
  const broken = new Memory({ getItem: () => "{no json", setItem: () => { throw new Error("full"); } });
  broken.remember(entry);
  assert.deepEqual(broken.list(), []);
  const foreign = new Memory({ getItem: () => '[{"id":5},{"id":"x","name":"n","size":2}]', setItem() {} });
  assert.deepEqual(foreign.list(), [{ id: "x", name: "n", size: 2 }]);
  assert.deepEqual(new Memory(undefined).list(), []);
});

test("a memory keeps the newest fifty", () => {
  let text = null;
  const memory = new Memory({ getItem: () => text, setItem: (_, value) => (text = value) });
  for (let n = 1; n <= 60; n += 1) memory.remember({ id: String(n), name: "a", size: n });
  assert.equal(memory.list().length, 50);
  assert.equal(memory.list()[0].id, "60");
  memory.forget("60");
  assert.equal(memory.list()[0].id, "59");
});

test("a fingerprint is the same for the same file and differs in name, time, head and tail", async () => {
  const env = new World().environment();
  const size = 200_000;
  const about = { name: "a", lastModified: 1 };
  const of = (blob, change = {}) => fingerprint(blob, { ...about, ...change }, env);
  const bytes = new Uint8Array(size);
  const changed = (at) => new Blob([Uint8Array.from(bytes, (byte, index) => (index === at ? 1 : byte))]);
  const original = await of(new Blob([bytes]));

  assert.match(original, /^[0-9a-f]{64}$/);
  assert.equal(await of(new Blob([bytes])), original);
  const others = await Promise.all([
    of(new Blob([bytes]), { name: "b" }), of(new Blob([bytes]), { lastModified: 2 }), of(changed(0)),
    of(changed(size - 1)),
  ]);
  assert.equal(new Set([original, ...others]).size, 5);
});

test("small files and empty ones have a fingerprint, too", async () => {
  const env = new World().environment();
  const about = { name: "a" };
  assert.notEqual(await fingerprint(file(0), about, env), await fingerprint(file(1), about, env));
  assert.notEqual(await fingerprint(file(70_000), about, env), await fingerprint(file(70_001), about, env));
});

test("without crypto.subtle there is no fingerprint", async () => {
  const env = new World().environment({ subtle: undefined });
  assert.equal(await fingerprint(file(1), { name: "a" }, env), undefined);
});

test("a meter tells the speed of the last seconds and never a negative one", () => {
  const meter = new Meter();
  assert.equal(meter.speed, null);
  for (let at = 0; at <= 20_000; at += 50) meter.sample(at, at < 10_000 ? at : 10_000 + (at - 10_000) * 3);
  assert.ok(meter.speed > 1900 && meter.speed <= 3000, String(meter.speed));
  assert.equal(Math.round(meter.secondsLeft(meter.speed * 7)), 7);
  meter.sample(20_050, 5);
  assert.equal(meter.speed, null);
});
