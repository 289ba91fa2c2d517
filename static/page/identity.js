/**
 * Who uploads: an anonymous visitor where the server allows that, or the owner of an API key. The key is kept in
 * this tab's session storage and nowhere else.
 */

import { find, setText, showText } from "./dom.js";

/**
 * @typedef {import("../sdk/index.js").NativeApi} NativeApi
 * @typedef {import("../sdk/protocols/native/api.js").SessionDocument} SessionDocument
 */

const SHELF = "muleteer.key";

/** What `apiKey` of the API asks for. */
export function storedKey() {
  try {
    return sessionStorage.getItem(SHELF);
  } catch {
    return keptInMemory;
  }
}

/** Where the browser forbids storage, the key lives as long as the page. @type {string | null} */
let keptInMemory = null;

/** @param {string | null} key */
export function storeKey(key) {
  keptInMemory = key;
  try {
    if (key) sessionStorage.setItem(SHELF, key);
    else sessionStorage.removeItem(SHELF);
  } catch {
    // kept in memory above
  }
}

export class Identity {
  /** What the server last took us for; null before it was asked. @type {SessionDocument["kind"] | null} */
  #kind = null;
  /** @type {(() => void)[]} uploads that wait for somebody to upload in the name of */
  #waiting = [];

  /**
   * @param {NativeApi} api
   * @param {() => void} onChange  the server knows us, perhaps as somebody else than before
   */
  constructor(api, onChange) {
    this.api = api;
    this.onChange = onChange;
    this.dialog = find(document, "#key-dialog", HTMLDialogElement);
    this.input = find(document, "#api-key", HTMLInputElement);
    this.problem = find(document, "#key-error", HTMLElement);
    this.forget = find(document, "#forget-key", HTMLButtonElement);
    find(document, "#use-key", HTMLButtonElement).addEventListener("click", () => this.ask());
    find(document, "#close-key", HTMLButtonElement).addEventListener("click", () => this.dialog.close());
    this.forget.addEventListener("click", () => this.#forgetKey());
    find(document, "#key-form", HTMLFormElement).addEventListener("submit", (event) => {
      event.preventDefault();
      void this.#tryKey(this.input.value.trim());
    });
  }

  /**
   * Resolves when uploads may begin.
   * @returns {Promise<void>}
   */
  whenAllowed() {
    if (this.#kind === "anonymous" || this.#kind === "api-key") return Promise.resolve();
    if (this.#kind === "none") this.ask();
    return new Promise((resolve) => this.#waiting.push(resolve));
  }

  /**
   * Asks the server who we are, and the person for a key where there is no other way.
   * @returns {Promise<void>}
   */
  async refresh() {
    const session = await this.api.session();
    if (session.kind !== "none") return this.#welcome(session);
    const hadKey = storedKey() !== null;
    storeKey(null);
    // A key that was revoked meanwhile: an anonymous visitor may be welcome all the same.
    if (hadKey && session.anonymous_allowed) return this.refresh();
    this.refused(hadKey ? "The key of this tab is no longer valid." : "");
    return undefined;
  }

  /**
   * The server does not know us (any more): uploads wait until a key is given.
   * @param {string} reason
   */
  refused(reason) {
    this.#kind = "none";
    this.ask(reason);
  }

  /**
   * Opens the dialog.
   * @param {string} [reason]
   */
  ask(reason = "") {
    if (this.dialog.open) return;
    this.input.value = "";
    this.forget.hidden = storedKey() === null;
    showText(this.problem, reason);
    this.dialog.showModal();
    this.input.focus();
  }

  /** @param {string} key */
  async #tryKey(key) {
    const before = storedKey();
    storeKey(key);
    try {
      const session = await this.api.session({ policy: { ...QUICK } });
      if (session.kind !== "api-key") {
        storeKey(before);
        return showText(this.problem, "The server does not know this key. Was it copied whole?");
      }
      this.dialog.close();
      return this.#welcome(session);
    } catch (error) {
      storeKey(before);
      return showText(this.problem, error instanceof Error ? error.message : String(error));
    }
  }

  #forgetKey() {
    storeKey(null);
    this.dialog.close();
    void this.refresh();
  }

  /** @param {SessionDocument} session */
  #welcome(session) {
    this.#kind = session.kind;
    const words = session.kind === "api-key" ? session.owner ?? "API key" : "Use an API key";
    setText(find(document, "#identity", HTMLElement), words);
    for (const goOn of this.#waiting.splice(0)) goOn();
    this.onChange();
  }
}

/** A person waits in front of the dialog: an answer within seconds, or an error. */
const QUICK = { firstPause: 300, longestPause: 1000, patience: 4000, stallAfter: 15_000, answerWithin: 8000 };
