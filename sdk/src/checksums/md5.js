/**
 * MD5 (RFC 1321): what stores compare that know no newer checksum. Browsers have none of their own.
 *
 * The sixty-four steps stand one by one: in loops, with their constants in tables, they take several times as long.
 */

const BLOCK = 64;

export class Md5 {
  #state = Int32Array.of(0x67452301, 0xefcdab89, 0x98badcfe, 0x10325476);
  #length = 0;
  #isEnding = false;

  /** @param {Uint8Array} bytes  a whole number of blocks of 64, but for the last call */
  update(bytes) {
    if (this.#isEnding) throw new Error("bytes after a block that was not full");
    const whole = bytes.length - (bytes.length % BLOCK);
    const aligned = bytes.byteOffset % 4 === 0 ? bytes.subarray(0, whole) : bytes.slice(0, whole);
    this.#blocks(new Int32Array(aligned.buffer, aligned.byteOffset, whole / 4));
    this.#length += bytes.length;
    if (whole < bytes.length) this.#end(bytes.subarray(whole));
  }

  /** @returns {Uint8Array} 16 bytes */
  digest() {
    if (!this.#isEnding) this.#end(new Uint8Array(0));
    return new Uint8Array(this.#state.buffer);
  }

  /** @param {Uint8Array} rest  less than a block */
  #end(rest) {
    this.#isEnding = true;
    const padded = new Uint8Array(rest.length < BLOCK - 8 ? BLOCK : 2 * BLOCK);
    padded.set(rest);
    padded[rest.length] = 0x80;
    const bits = new DataView(padded.buffer, padded.length - 8);
    bits.setUint32(0, (this.#length * 8) >>> 0, true);
    bits.setUint32(4, Math.floor(this.#length / 2 ** 29), true);
    this.#blocks(new Int32Array(padded.buffer));
  }

  /** @param {Int32Array} words */
  #blocks(words) {
    const state = this.#state;
    let a = state[0];
    let b = state[1];
    let c = state[2];
    let d = state[3];
    for (let at = 0; at < words.length; at += 16) {
      const a0 = a;
      const b0 = b;
      const c0 = c;
      const d0 = d;
      a = (a + (d ^ (b & (c ^ d))) + words[at] - 680876936) | 0;
      a = ((a << 7 | a >>> 25) + b) | 0;
      d = (d + (c ^ (a & (b ^ c))) + words[at + 1] - 389564586) | 0;
      d = ((d << 12 | d >>> 20) + a) | 0;
      c = (c + (b ^ (d & (a ^ b))) + words[at + 2] + 606105819) | 0;
      c = ((c << 17 | c >>> 15) + d) | 0;
      b = (b + (a ^ (c & (d ^ a))) + words[at + 3] - 1044525330) | 0;
      b = ((b << 22 | b >>> 10) + c) | 0;
      a = (a + (d ^ (b & (c ^ d))) + words[at + 4] - 176418897) | 0;
      a = ((a << 7 | a >>> 25) + b) | 0;
      d = (d + (c ^ (a & (b ^ c))) + words[at + 5] + 1200080426) | 0;
      d = ((d << 12 | d >>> 20) + a) | 0;
      c = (c + (b ^ (d & (a ^ b))) + words[at + 6] - 1473231341) | 0;
      c = ((c << 17 | c >>> 15) + d) | 0;
      b = (b + (a ^ (c & (d ^ a))) + words[at + 7] - 45705983) | 0;
      b = ((b << 22 | b >>> 10) + c) | 0;
      a = (a + (d ^ (b & (c ^ d))) + words[at + 8] + 1770035416) | 0;
      a = ((a << 7 | a >>> 25) + b) | 0;
      d = (d + (c ^ (a & (b ^ c))) + words[at + 9] - 1958414417) | 0;
      d = ((d << 12 | d >>> 20) + a) | 0;
      c = (c + (b ^ (d & (a ^ b))) + words[at + 10] - 42063) | 0;
      c = ((c << 17 | c >>> 15) + d) | 0;
      b = (b + (a ^ (c & (d ^ a))) + words[at + 11] - 1990404162) | 0;
      b = ((b << 22 | b >>> 10) + c) | 0;
      a = (a + (d ^ (b & (c ^ d))) + words[at + 12] + 1804603682) | 0;
      a = ((a << 7 | a >>> 25) + b) | 0;
      d = (d + (c ^ (a & (b ^ c))) + words[at + 13] - 40341101) | 0;
      d = ((d << 12 | d >>> 20) + a) | 0;
      c = (c + (b ^ (d & (a ^ b))) + words[at + 14] - 1502002290) | 0;
      c = ((c << 17 | c >>> 15) + d) | 0;
      b = (b + (a ^ (c & (d ^ a))) + words[at + 15] + 1236535329) | 0;
      b = ((b << 22 | b >>> 10) + c) | 0;
      a = (a + (c ^ (d & (b ^ c))) + words[at + 1] - 165796510) | 0;
      a = ((a << 5 | a >>> 27) + b) | 0;
      d = (d + (b ^ (c & (a ^ b))) + words[at + 6] - 1069501632) | 0;
      d = ((d << 9 | d >>> 23) + a) | 0;
      c = (c + (a ^ (b & (d ^ a))) + words[at + 11] + 643717713) | 0;
      c = ((c << 14 | c >>> 18) + d) | 0;
      b = (b + (d ^ (a & (c ^ d))) + words[at] - 373897302) | 0;
      b = ((b << 20 | b >>> 12) + c) | 0;
      a = (a + (c ^ (d & (b ^ c))) + words[at + 5] - 701558691) | 0;
      a = ((a << 5 | a >>> 27) + b) | 0;
      d = (d + (b ^ (c & (a ^ b))) + words[at + 10] + 38016083) | 0;
      d = ((d << 9 | d >>> 23) + a) | 0;
      c = (c + (a ^ (b & (d ^ a))) + words[at + 15] - 660478335) | 0;
      c = ((c << 14 | c >>> 18) + d) | 0;
      b = (b + (d ^ (a & (c ^ d))) + words[at + 4] - 405537848) | 0;
      b = ((b << 20 | b >>> 12) + c) | 0;
      a = (a + (c ^ (d & (b ^ c))) + words[at + 9] + 568446438) | 0;
      a = ((a << 5 | a >>> 27) + b) | 0;
      d = (d + (b ^ (c & (a ^ b))) + words[at + 14] - 1019803690) | 0;
      d = ((d << 9 | d >>> 23) + a) | 0;
      c = (c + (a ^ (b & (d ^ a))) + words[at + 3] - 187363961) | 0;
      c = ((c << 14 | c >>> 18) + d) | 0;
      b = (b + (d ^ (a & (c ^ d))) + words[at + 8] + 1163531501) | 0;
      b = ((b << 20 | b >>> 12) + c) | 0;
      a = (a + (c ^ (d & (b ^ c))) + words[at + 13] - 1444681467) | 0;
      a = ((a << 5 | a >>> 27) + b) | 0;
      d = (d + (b ^ (c & (a ^ b))) + words[at + 2] - 51403784) | 0;
      d = ((d << 9 | d >>> 23) + a) | 0;
      c = (c + (a ^ (b & (d ^ a))) + words[at + 7] + 1735328473) | 0;
      c = ((c << 14 | c >>> 18) + d) | 0;
      b = (b + (d ^ (a & (c ^ d))) + words[at + 12] - 1926607734) | 0;
      b = ((b << 20 | b >>> 12) + c) | 0;
      a = (a + (b ^ c ^ d) + words[at + 5] - 378558) | 0;
      a = ((a << 4 | a >>> 28) + b) | 0;
      d = (d + (a ^ b ^ c) + words[at + 8] - 2022574463) | 0;
      d = ((d << 11 | d >>> 21) + a) | 0;
      c = (c + (d ^ a ^ b) + words[at + 11] + 1839030562) | 0;
      c = ((c << 16 | c >>> 16) + d) | 0;
      b = (b + (c ^ d ^ a) + words[at + 14] - 35309556) | 0;
      b = ((b << 23 | b >>> 9) + c) | 0;
      a = (a + (b ^ c ^ d) + words[at + 1] - 1530992060) | 0;
      a = ((a << 4 | a >>> 28) + b) | 0;
      d = (d + (a ^ b ^ c) + words[at + 4] + 1272893353) | 0;
      d = ((d << 11 | d >>> 21) + a) | 0;
      c = (c + (d ^ a ^ b) + words[at + 7] - 155497632) | 0;
      c = ((c << 16 | c >>> 16) + d) | 0;
      b = (b + (c ^ d ^ a) + words[at + 10] - 1094730640) | 0;
      b = ((b << 23 | b >>> 9) + c) | 0;
      a = (a + (b ^ c ^ d) + words[at + 13] + 681279174) | 0;
      a = ((a << 4 | a >>> 28) + b) | 0;
      d = (d + (a ^ b ^ c) + words[at] - 358537222) | 0;
      d = ((d << 11 | d >>> 21) + a) | 0;
      c = (c + (d ^ a ^ b) + words[at + 3] - 722521979) | 0;
      c = ((c << 16 | c >>> 16) + d) | 0;
      b = (b + (c ^ d ^ a) + words[at + 6] + 76029189) | 0;
      b = ((b << 23 | b >>> 9) + c) | 0;
      a = (a + (b ^ c ^ d) + words[at + 9] - 640364487) | 0;
      a = ((a << 4 | a >>> 28) + b) | 0;
      d = (d + (a ^ b ^ c) + words[at + 12] - 421815835) | 0;
      d = ((d << 11 | d >>> 21) + a) | 0;
      c = (c + (d ^ a ^ b) + words[at + 15] + 530742520) | 0;
      c = ((c << 16 | c >>> 16) + d) | 0;
      b = (b + (c ^ d ^ a) + words[at + 2] - 995338651) | 0;
      b = ((b << 23 | b >>> 9) + c) | 0;
      a = (a + (c ^ (b | ~d)) + words[at] - 198630844) | 0;
      a = ((a << 6 | a >>> 26) + b) | 0;
      d = (d + (b ^ (a | ~c)) + words[at + 7] + 1126891415) | 0;
      d = ((d << 10 | d >>> 22) + a) | 0;
      c = (c + (a ^ (d | ~b)) + words[at + 14] - 1416354905) | 0;
      c = ((c << 15 | c >>> 17) + d) | 0;
      b = (b + (d ^ (c | ~a)) + words[at + 5] - 57434055) | 0;
      b = ((b << 21 | b >>> 11) + c) | 0;
      a = (a + (c ^ (b | ~d)) + words[at + 12] + 1700485571) | 0;
      a = ((a << 6 | a >>> 26) + b) | 0;
      d = (d + (b ^ (a | ~c)) + words[at + 3] - 1894986606) | 0;
      d = ((d << 10 | d >>> 22) + a) | 0;
      c = (c + (a ^ (d | ~b)) + words[at + 10] - 1051523) | 0;
      c = ((c << 15 | c >>> 17) + d) | 0;
      b = (b + (d ^ (c | ~a)) + words[at + 1] - 2054922799) | 0;
      b = ((b << 21 | b >>> 11) + c) | 0;
      a = (a + (c ^ (b | ~d)) + words[at + 8] + 1873313359) | 0;
      a = ((a << 6 | a >>> 26) + b) | 0;
      d = (d + (b ^ (a | ~c)) + words[at + 15] - 30611744) | 0;
      d = ((d << 10 | d >>> 22) + a) | 0;
      c = (c + (a ^ (d | ~b)) + words[at + 6] - 1560198380) | 0;
      c = ((c << 15 | c >>> 17) + d) | 0;
      b = (b + (d ^ (c | ~a)) + words[at + 13] + 1309151649) | 0;
      b = ((b << 21 | b >>> 11) + c) | 0;
      a = (a + (c ^ (b | ~d)) + words[at + 4] - 145523070) | 0;
      a = ((a << 6 | a >>> 26) + b) | 0;
      d = (d + (b ^ (a | ~c)) + words[at + 11] - 1120210379) | 0;
      d = ((d << 10 | d >>> 22) + a) | 0;
      c = (c + (a ^ (d | ~b)) + words[at + 2] + 718787259) | 0;
      c = ((c << 15 | c >>> 17) + d) | 0;
      b = (b + (d ^ (c | ~a)) + words[at + 9] - 343485551) | 0;
      b = ((b << 21 | b >>> 11) + c) | 0;
      a = (a + a0) | 0;
      b = (b + b0) | 0;
      c = (c + c0) | 0;
      d = (d + d0) | 0;
    }
    state[0] = a;
    state[1] = b;
    state[2] = c;
    state[3] = d;
  }
}
