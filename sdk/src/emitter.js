/**
 * Named events with typed news. `EventTarget` would do in a browser, but its `CustomEvent` is missing in Node 18
 * and its events carry no types.
 */

/**
 * @template {Record<string, any>} Events
 */
export class Emitter {
  /** @type {Map<keyof Events, Set<(news: any) => void>>} */
  #listeners = new Map();

  /**
   * @template {keyof Events} Name
   * @param {Name} name
   * @param {(news: Events[Name]) => void} listener
   * @returns {() => void} stops listening
   */
  on(name, listener) {
    const listeners = this.#listeners.get(name) ?? new Set();
    this.#listeners.set(name, listeners.add(listener));
    return () => listeners.delete(listener);
  }

  /**
   * A listener's own failure is reported to the console and never stops an upload.
   * @template {keyof Events} Name
   * @param {Name} name
   * @param {Events[Name]} news
   */
  emit(name, news) {
    for (const listener of [...(this.#listeners.get(name) ?? [])]) {
      try {
        listener(news);
      } catch (error) {
        console.error(error);
      }
    }
  }
}
