/**
 * What was begun and not finished, here or in an earlier life of this page: the server's list, and this browser's
 * own memory while the server cannot be asked.
 */

import { cloneTemplate, find, setText, showText } from "./dom.js";
import * as format from "./format.js";

/**
 * @typedef {import("../sdk/index.js").NativeApi} NativeApi
 * @typedef {import("../sdk/index.js").Memory} Memory
 *
 * @typedef {object} Entry
 * @property {string} id
 * @property {string} name
 * @property {number} size
 * @property {number | null} stored  bytes; null while only this browser's memory is known
 * @property {string} since  RFC 3339, or ""
 * @property {string} [code]  by which it is named to whoever helps
 */

export class Unfinished {
  /** @type {Map<string, HTMLElement>} by upload id */
  #rows = new Map();

  /**
   * @param {NativeApi} api
   * @param {Memory} memory
   * @param {{isOnPage: (id: string) => boolean, choose: () => void, say: (words: string) => void}} page
   */
  constructor(api, memory, page) {
    this.api = api;
    this.memory = memory;
    this.page = page;
    this.section = find(document, "#unfinished-section", HTMLElement);
    this.list = find(document, "#unfinished", HTMLElement);
  }

  /** Before the server has answered, what this browser remembers is better than nothing. */
  showRemembered() {
    this.#show(this.memory.list().map(({ id, name, size }) => ({ id, name, size, stored: null, since: "" })));
  }

  /** Brings the list up to date; the server's word replaces the memory's. */
  async refresh() {
    // One whose completion was interrupted is not done either: choosing its file again joins it.
    const lists = await Promise.all([this.api.list("open"), this.api.list("completing")]);
    this.#show(lists.flat().map((upload) => ({
      id: upload.id,
      name: upload.filename,
      size: upload.size,
      stored: upload.bytes_recorded,
      since: upload.created_at,
      code: upload.support_code,
    })));
  }

  /**
   * This upload goes on, or is over.
   * @param {string} id
   */
  remove(id) {
    this.#rows.get(id)?.remove();
    this.#rows.delete(id);
    this.#showSection();
  }

  /** @param {Entry[]} entries */
  #show(entries) {
    const shown = entries.filter(({ id }) => !this.page.isOnPage(id));
    this.#rows = new Map(shown.map((entry) => [entry.id, this.#row(entry)]));
    this.list.replaceChildren(...this.#rows.values());
    this.#showSection();
  }

  #showSection() {
    this.section.hidden = this.#rows.size === 0;
    document.body.classList.toggle("has-unfinished", !this.section.hidden);
  }

  /** @param {Entry} entry */
  #row(entry) {
    const row = cloneTemplate("unfinished-row");
    row.dataset.name = entry.name;
    row.dataset.id = entry.id;
    const name = format.name(entry.name);
    setText(find(row, ".file-name", HTMLElement), name);
    setText(find(row, ".file-size", HTMLElement), format.bytes(entry.size));
    const percent = format.percent(entry.stored ?? 0, entry.size);
    const bar = find(row, ".bar", HTMLElement);
    bar.setAttribute("aria-label", `${percent} percent stored`);
    bar.hidden = entry.stored === null;
    find(row, ".bar-done", HTMLElement).style.inlineSize = `${percent}%`;
    const since = format.moment(entry.since);
    setText(find(row, ".figures", HTMLElement), [
      entry.stored === null ? "" : `${format.bytes(entry.stored)} stored`,
      since && `begun ${since}`,
    ].filter(Boolean).join(" · "));
    const code = find(row, ".support-code", HTMLElement);
    code.hidden = !entry.code;
    setText(find(code, "code", HTMLElement), entry.code ?? "");
    const choose = find(row, 'button[data-action="choose"]', HTMLButtonElement);
    choose.setAttribute("aria-label", `Choose ${name} again to go on`);
    choose.addEventListener("click", this.page.choose);
    const discard = find(row, 'button[data-action="discard"]', HTMLButtonElement);
    discard.setAttribute("aria-label", `Discard ${name}`);
    discard.addEventListener("click", () => void this.#discard(entry, row, discard));
    return row;
  }

  /**
   * @param {Entry} entry
   * @param {HTMLElement} row
   * @param {HTMLButtonElement} button
   */
  async #discard(entry, row, button) {
    button.disabled = true;
    try {
      await this.api.discard(entry.id);
      this.memory.forget(entry.id);
      this.remove(entry.id);
      this.page.say(`${entry.name}: discarded.`);
    } catch (error) {
      button.disabled = false;
      showText(find(row, ".error", HTMLElement), error instanceof Error ? error.message : String(error));
    }
  }
}
