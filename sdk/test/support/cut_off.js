/** A browser that cannot reach the store, and what the tests of the way around it ask. */

import assert from "node:assert/strict";
import { scene } from "./scene.js";

/** A request that brings a part to our API. */
export const CONTENT = /PUT \/uploads\/[^/]+\/parts\/\d+\/content/;

/** A scene, and everything that its upload says about the way. */
export async function cutOff(t, settings = {}, size = 10_000, options = {}) {
  const all = await scene(t, { onPart: () => "reset", ...settings });
  const film = all.upload(size, options);
  const ways = [];
  film.on("route", (way) => ways.push(way));
  return { ...all, film, ways };
}

/** Every part has arrived once, by one way or the other. */
export function assertOnce(backend, count) {
  const arrived = [...backend.acknowledged, ...backend.relayed].sort((a, b) => a - b);
  assert.deepEqual(arrived, Array.from({ length: count }, (_, index) => index + 1));
}
