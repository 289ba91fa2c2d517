/**
 * Makes checksums on a thread of its own, one blob after the other, so that the page stays smooth.
 */

import { sumsOf } from "./sums.js";

/** @typedef {{id: number, blob: Blob, algorithms: string[]}} Request */

let last = Promise.resolve();

globalThis.addEventListener("message", (event) => {
  const { id, blob, algorithms } = /** @type {Request} */ (/** @type {MessageEvent} */ (event).data);
  last = last.then(async () => {
    try {
      globalThis.postMessage({ id, sums: await sumsOf(blob, algorithms) });
    } catch (error) {
      globalThis.postMessage({ id, error: String(error) });
    }
  });
});
