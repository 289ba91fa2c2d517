/**
 * What this browser began and did not finish, so that a page can offer it again after a refresh even before the
 * server answers. Never a token, a key or an address: whoever reads the storage learns names and sizes only.
 */

/**
 * @typedef {object} Unfinished
 * @property {string} id
 * @property {string} name
 * @property {number} size  bytes
 * @property {number} [lastModified]  milliseconds since 1970, as the file says
 */

/** @typedef {Pick<Storage, "getItem" | "setItem">} Shelf */

const MOST_REMEMBERED = 50;

export class Memory {
  /**
   * @param {Shelf | undefined} [shelf]  `localStorage` or anything like it; without one nothing is remembered
   * @param {string} [key]
   */
  constructor(shelf = defaultShelf(), key = "muleteer.unfinished") {
    this.shelf = shelf;
    this.key = key;
  }

  /** @returns {Unfinished[]} newest first */
  list() {
    try {
      const found = JSON.parse(this.shelf?.getItem(this.key) ?? "[]");
      return Array.isArray(found) ? found.filter(isUnfinished) : [];
    } catch {
      return []; // somebody else's text under our key, or storage that may not be read
    }
  }

  /** @param {Unfinished} upload */
  remember({ id, name, size, lastModified }) {
    const others = this.list().filter((other) => other.id !== id);
    this.#write([{ id, name, size, lastModified }, ...others].slice(0, MOST_REMEMBERED));
  }

  /** @param {string} id */
  forget(id) {
    const all = this.list();
    const kept = all.filter((upload) => upload.id !== id);
    if (kept.length < all.length) this.#write(kept);
  }

  /** @param {Unfinished[]} uploads */
  #write(uploads) {
    try {
      this.shelf?.setItem(this.key, JSON.stringify(uploads));
    } catch {
      // A full or forbidden storage costs the reminder only: the server knows every open upload as well.
    }
  }
}

/**
 * @param {any} value
 * @returns {value is Unfinished}
 */
function isUnfinished(value) {
  return typeof value?.id === "string" && typeof value.name === "string" && typeof value.size === "number";
}

/** @returns {Shelf | undefined} */
function defaultShelf() {
  try {
    return globalThis.localStorage;
  } catch {
    return undefined; // browsers that forbid storage throw on the mere mention
  }
}
