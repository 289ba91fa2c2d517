import assert from "node:assert/strict";
import { test } from "node:test";
import { Route } from "../src/protocols/native/route.js";
import { DEFAULT_POLICY } from "../src/retry.js";
import { World } from "./support/environment.js";

const POLICY = DEFAULT_POLICY;

/** A route, its clock, and ways to bring about what the tests are about. */
function line() {
  const world = new World();
  const route = new Route(world.environment());
  /** A failure of a part whose address was asked for just before. */
  const fail = (isStall = false) => {
    world.time += 10;
    const askedAt = world.time;
    world.time += 10;
    route.failed({ askedAt, isStall }, POLICY);
  };
  const cut = () => {
    for (let times = 0; times < POLICY.relayAfter; times += 1) fail();
    assert.ok(route.isRelaying);
  };
  /** Asserts that the next probe is due after this pause and not before, and takes it. */
  const probeAfter = (pause) => {
    world.time += pause - 1;
    assert.equal(route.choose(), "relay");
    world.time += 1;
    assert.equal(route.choose(), "probe");
  };
  return { world, route, fail, cut, probeAfter };
}

test("the third failure in a row changes the way, and an answer in between begins the count anew", () => {
  const { route, fail } = line();

  fail();
  fail();
  route.answered(false);
  fail();
  fail();
  assert.equal(route.choose(), "direct");
  fail();

  assert.equal(route.choose(), "relay");
});

test("sixteen workers cut off at once have failed once", () => {
  const { route } = line();
  for (let worker = 0; worker < 16; worker += 1) route.failed({ askedAt: 0, isStall: false }, POLICY);
  assert.ok(!route.isRelaying);
});

test("failures with addresses from before the last one do not count: our server may be away as well", () => {
  const { world, route } = line();
  for (let tries = 0; tries < 50; tries += 1) {
    world.time += 1000;
    route.failed({ askedAt: 0, isStall: false }, POLICY);
  }
  assert.ok(!route.isRelaying);
});

test("what fails while the browser is offline does not count", () => {
  const { world, route, fail } = line();
  world.online = false;
  for (let tries = 0; tries < 10; tries += 1) fail();
  assert.ok(!route.isRelaying);
});

test("two stalls are enough, one is not", () => {
  const { route, fail } = line();
  fail(true);
  assert.ok(!route.isRelaying);
  fail(true);
  assert.ok(route.isRelaying);
});

test("a single failure is never enough, whatever the policy says", () => {
  const { route, world } = line();
  const policy = { ...POLICY, relayAfter: 1 };
  route.failed({ askedAt: 0, isStall: true }, policy);
  assert.ok(!route.isRelaying);
  route.failed({ askedAt: (world.time += 1), isStall: false }, policy);
  assert.ok(route.isRelaying);
});

test("stalls do not count while another part moves steadily, and count when it only filled a buffer", () => {
  const { world, route, fail } = line();
  const slow = route.watch(POLICY);
  for (let bytes = 0; bytes < 100; bytes += 1) {
    slow(bytes);
    world.time += 1000;
    if (world.time > POLICY.stallAfter) fail(true);
  }
  assert.ok(!route.isRelaying);

  world.time += 60_000;
  const buffered = route.watch(POLICY);
  buffered(100_000);
  fail(true);
  buffered(200_000);
  fail(true);
  assert.ok(route.isRelaying);
});

test("one probe at a time, after pauses of 15 s, 30 s, 60 s and then two minutes", () => {
  const { route, cut, probeAfter } = line();
  cut();
  for (const pause of [15_000, 30_000, 60_000, 120_000, 120_000]) {
    probeAfter(pause);
    assert.equal(route.choose(), "relay", "another worker has no probe meanwhile");
    route.endProbe("failed", POLICY);
  }
});

test("an interrupted probe is taken up by the next part", () => {
  const { route, cut, probeAfter } = line();
  cut();
  probeAfter(15_000);
  route.endProbe("interrupted", POLICY);
  assert.equal(route.choose(), "probe");
});

test("any part that the store takes brings the straight way back, a refusal does not", () => {
  const { route, cut } = line();
  cut();
  route.answered(false);
  assert.equal(route.choose(), "relay");
  route.answered(true);
  assert.equal(route.choose(), "direct");
});

test("a store that takes a single part between failures is probed ever more rarely, a sound one is not", () => {
  const { route, cut, probeAfter } = line();
  cut();
  probeAfter(15_000);
  route.answered(true);
  route.endProbe("taken", POLICY);

  cut();
  probeAfter(30_000);
  route.answered(true);
  route.endProbe("taken", POLICY);
  route.answered(true);

  cut();
  probeAfter(15_000);
});

test("when our server cannot be reached either, the next probe does not wait out a long pause", () => {
  const { route, cut, probeAfter } = line();
  cut();
  for (const pause of [15_000, 30_000, 60_000]) {
    probeAfter(pause);
    route.endProbe("failed", POLICY);
  }
  route.relayFailed(POLICY);
  probeAfter(15_000);
});
