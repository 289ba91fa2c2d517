/**
 * Several checksums of a blob in one reading, piece by piece: a part may be larger than the memory.
 */

import { Crc32c, Crc64Nvme } from "./crc.js";
import { Md5 } from "./md5.js";

/** @typedef {Record<string, string>} Sums  base64 by the algorithm's name */

/** @type {Record<string, new () => {update(bytes: Uint8Array): void, digest(): Uint8Array}>} */
const MAKERS = { crc64nvme: Crc64Nvme, crc32c: Crc32c, md5: Md5 };

/** Read at once: few enough to keep a page that has no worker moving. */
const PIECE = 2 ** 21;

/**
 * Whether this algorithm is known here.
 * @param {string} name
 */
export function canSum(name) {
  return Object.hasOwn(MAKERS, name);
}

/**
 * @param {Blob} blob
 * @param {string[]} algorithms
 * @returns {Promise<Sums>}
 */
export async function sumsOf(blob, algorithms) {
  const makers = algorithms.map((name) => ({ name, maker: new MAKERS[name]() }));
  let reading = read(blob, 0);
  for (let at = 0; at < blob.size; at += PIECE) {
    const bytes = await reading;
    // The next piece is read while this one is summed.
    reading = read(blob, at + PIECE);
    reading.catch(() => {});
    for (const { maker } of makers) maker.update(bytes);
  }
  return Object.fromEntries(makers.map(({ name, maker }) => [name, base64(maker.digest())]));
}

/**
 * @param {Blob} blob
 * @param {number} at
 */
async function read(blob, at) {
  return new Uint8Array(await blob.slice(at, at + PIECE).arrayBuffer());
}

/** @param {Uint8Array} bytes */
function base64(bytes) {
  return btoa(String.fromCharCode(...bytes));
}
