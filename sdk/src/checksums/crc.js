/**
 * CRC-64/NVME and CRC-32C, as S3 knows them, eight bytes a turn through tables. JavaScript has no 64-bit integers that
 * are fast, so the longer one is kept in two halves.
 *
 * Bytes are read four at a time in the order of this machine, which is little-endian wherever browsers run.
 */

/** The generator polynomials, bits reversed: the halves of CRC-64/NVME, and CRC-32C. */
const NVME_HIGH = 0x9a6c9329;
const NVME_LOW = 0xac4bc9b5;
const CASTAGNOLI = 0x82f63b78;

/** What one byte, seven to no bytes before the end of eight, adds: table `k` begins at `256 * k`. */
const LOW = new Int32Array(8 * 256);
const HIGH = new Int32Array(8 * 256);
const SHORT = new Int32Array(8 * 256);

for (let byte = 0; byte < 256; byte += 1) {
  let low = byte;
  let high = 0;
  let short = byte;
  for (let bit = 0; bit < 8; bit += 1) {
    const isOdd = low & 1;
    low = (low >>> 1) | (high << 31);
    high >>>= 1;
    if (isOdd) {
      low ^= NVME_LOW;
      high ^= NVME_HIGH;
    }
    short = short & 1 ? (short >>> 1) ^ CASTAGNOLI : short >>> 1;
  }
  LOW[byte] = low;
  HIGH[byte] = high;
  SHORT[byte] = short;
}
for (let at = 256; at < 8 * 256; at += 1) {
  const [low, high, short] = [LOW[at - 256], HIGH[at - 256], SHORT[at - 256]];
  LOW[at] = ((low >>> 8) | (high << 24)) ^ LOW[low & 255];
  HIGH[at] = (high >>> 8) ^ HIGH[low & 255];
  SHORT[at] = (short >>> 8) ^ SHORT[short & 255];
}

export class Crc64Nvme {
  #low = -1;
  #high = -1;

  /** @param {Uint8Array} bytes */
  update(bytes) {
    let low = this.#low;
    let high = this.#high;
    const words = wordsOf(bytes);
    for (let at = 0; at < words.length; at += 2) {
      const a = low ^ words[at];
      const b = high ^ words[at + 1];
      const a0 = 1792 + (a & 255);
      const a1 = 1536 + ((a >>> 8) & 255);
      const a2 = 1280 + ((a >>> 16) & 255);
      const a3 = 1024 + (a >>> 24);
      const b0 = 768 + (b & 255);
      const b1 = 512 + ((b >>> 8) & 255);
      const b2 = 256 + ((b >>> 16) & 255);
      const b3 = b >>> 24;
      low = LOW[a0] ^ LOW[a1] ^ LOW[a2] ^ LOW[a3] ^ LOW[b0] ^ LOW[b1] ^ LOW[b2] ^ LOW[b3];
      high = HIGH[a0] ^ HIGH[a1] ^ HIGH[a2] ^ HIGH[a3] ^ HIGH[b0] ^ HIGH[b1] ^ HIGH[b2] ^ HIGH[b3];
    }
    for (let at = words.length * 4; at < bytes.length; at += 1) {
      const entry = (low ^ bytes[at]) & 255;
      low = ((low >>> 8) | (high << 24)) ^ LOW[entry];
      high = (high >>> 8) ^ HIGH[entry];
    }
    this.#low = low;
    this.#high = high;
  }

  /** @returns {Uint8Array} 8 bytes, the highest first */
  digest() {
    const view = new DataView(new ArrayBuffer(8));
    view.setInt32(0, ~this.#high);
    view.setInt32(4, ~this.#low);
    return new Uint8Array(view.buffer);
  }
}

export class Crc32c {
  #value = -1;

  /** @param {Uint8Array} bytes */
  update(bytes) {
    let value = this.#value;
    const words = wordsOf(bytes);
    for (let at = 0; at < words.length; at += 2) {
      const a = value ^ words[at];
      const b = words[at + 1];
      value = SHORT[1792 + (a & 255)] ^ SHORT[1536 + ((a >>> 8) & 255)] ^ SHORT[1280 + ((a >>> 16) & 255)]
        ^ SHORT[1024 + (a >>> 24)] ^ SHORT[768 + (b & 255)] ^ SHORT[512 + ((b >>> 8) & 255)]
        ^ SHORT[256 + ((b >>> 16) & 255)] ^ SHORT[b >>> 24];
    }
    for (let at = words.length * 4; at < bytes.length; at += 1) {
      value = (value >>> 8) ^ SHORT[(value ^ bytes[at]) & 255];
    }
    this.#value = value;
  }

  /** @returns {Uint8Array} 4 bytes, the highest first */
  digest() {
    const view = new DataView(new ArrayBuffer(4));
    view.setInt32(0, ~this.#value);
    return new Uint8Array(view.buffer);
  }
}

/**
 * Whole pairs of words; none where the bytes do not begin at one.
 * @param {Uint8Array} bytes
 */
function wordsOf(bytes) {
  const count = bytes.byteOffset % 4 === 0 ? bytes.length >>> 3 << 1 : 0;
  return new Int32Array(bytes.buffer, count > 0 ? bytes.byteOffset : 0, count);
}
