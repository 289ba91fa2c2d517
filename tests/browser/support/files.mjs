// Test files on disk: content from a seed, so that two files of one size differ and a failure can be repeated.

import { createCipheriv, createHash } from "node:crypto";
import { open } from "node:fs/promises";
import { join } from "node:path";

const BLOCK = 4 << 20;

/**
 * Makes a file of `size` bytes in `folder`.
 * @param {string} folder
 * @param {string} name may hold any character that a file name may
 * @param {number} size bytes
 * @param {number} seed
 * @returns {Promise<{ path: string, name: string, size: number, sha256: string }>}
 */
export async function makeFile(folder, name, size, seed = 1) {
  const path = join(folder, name);
  const key = createHash("sha256").update(`muleteer test file ${seed}`).digest();
  // A stream cipher over zeros is the fastest source of bytes that no compression and no luck can shorten.
  const cipher = createCipheriv("aes-256-ctr", key, Buffer.alloc(16));
  const zeros = Buffer.alloc(Math.min(size, BLOCK));
  const hash = createHash("sha256");
  const file = await open(path, "w");
  try {
    for (let left = size; left > 0; left -= BLOCK) {
      const block = cipher.update(zeros.subarray(0, Math.min(left, BLOCK)));
      hash.update(block);
      await file.write(block);
    }
  } finally {
    await file.close();
  }
  return { path, name, size, sha256: hash.digest("hex") };
}
