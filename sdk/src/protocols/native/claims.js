/**
 * What we say of the bytes of each part: its checksums, made ahead of the workers, sent where the store compares them,
 * and told to our server, which compares them before the upload is complete. A part whose checksum cannot be made or
 * sent goes without: nobody loses an upload over it.
 */

import { canSum } from "../../checksums/sums.js";

/**
 * @typedef {import("../../checksums/summer.js").Summer} Summer
 * @typedef {import("../../checksums/sums.js").Sums} Sums
 * @typedef {import("../../slices.js").Slices} Slices
 *
 * @typedef {object} PartChecksum  as the API describes it
 * @property {string} algorithm
 * @property {string} header
 * @property {boolean} signed  then it is told when the part is signed, and must be sent
 *
 * @typedef {object} Passage  what uploads of one protocol have learnt of the way to the store
 * @property {boolean} isOpen  a part with the header was answered
 * @property {number} doubts  how often a part got through only without the header
 * @property {boolean} isBarred  no part with the header gets through, as the bucket's CORS rules do not allow it
 */

/** By this one the whole object's follows from those of its parts. */
const WHOLE = "crc64nvme";
/** Parts whose sums are made before anybody needs them. */
const AHEAD = 4;

export class Claims {
  /** @type {Map<number, Sums | null>}  null where they could not be made */
  #made = new Map();
  /** @type {Map<number, Promise<Sums | null>>} */
  #making = new Map();

  /**
   * @param {{summer: Summer, passage: Passage, slices: Slices, file: Blob, checksum?: PartChecksum | null}} options
   */
  constructor({ summer, passage, slices, file, checksum }) {
    this.summer = summer;
    this.passage = passage;
    this.slices = slices;
    this.file = file;
    this.checksum = checksum && canSum(checksum.algorithm) ? checksum : null;
  }

  /** Whether addresses are signed with a checksum. */
  get isSigned() {
    return this.checksum !== null && this.checksum.signed && !this.passage.isBarred;
  }

  /**
   * The part's sums; null where none are wanted, or none can be made.
   * @param {number} number
   * @returns {Promise<Sums | null>}
   */
  async of(number) {
    if (!this.checksum) return null;
    const made = this.#made.get(number);
    return made === undefined ? this.#make(number) : made;
  }

  /**
   * The value that this part's address is signed with; undefined while it is not known, null where there is none.
   * @param {number} number
   */
  value(number) {
    const sums = this.#made.get(number);
    if (!sums) return sums;
    return this.checksum ? sums[this.checksum.algorithm] : null;
  }

  /**
   * Makes the sums of the first of these parts that have none.
   * @param {number[]} numbers
   */
  ahead(numbers) {
    if (!this.checksum) return;
    for (const number of numbers) {
      if (this.#making.size >= AHEAD) return;
      if (!this.#made.has(number) && !this.#making.has(number)) this.#make(number);
    }
  }

  /**
   * The headers of a part that goes straight to the store.
   * @param {Sums | null} sums
   * @param {string | undefined} signedWith  what its address was signed with
   * @returns {Record<string, string>}
   */
  headers(sums, signedWith) {
    const { checksum, passage } = this;
    if (!checksum || !sums) return {};
    if (checksum.signed) return signedWith === undefined ? {} : { [checksum.header]: signedWith };
    return passage.isBarred ? {} : { [checksum.header]: sums[checksum.algorithm] };
  }

  /**
   * The headers of a part that goes through our server.
   * @param {Sums | null} sums
   * @returns {Record<string, string>}
   */
  headersToServer(sums) {
    return this.checksum && sums ? { [this.checksum.header]: sums[this.checksum.algorithm] } : {};
  }

  /** @param {number} number */
  #make(number) {
    const making = this.#making.get(number);
    if (making) return making;
    const { algorithm } = /** @type {PartChecksum} */ (this.checksum);
    const algorithms = [...new Set([algorithm, WHOLE])];
    const made = this.summer.sums(this.slices.cut(this.file, number), algorithms)
      .catch(() => null) // a file that cannot be read any more is noticed where it is sent
      .then((sums) => {
        this.#making.delete(number);
        this.#made.set(number, sums);
        return sums;
      });
    this.#making.set(number, made);
    return made;
  }
}
