/**
 * Says when the browser has lost the network, and when it is back. The uploads themselves need no telling.
 */

import { showText } from "./dom.js";

const GOOD_NEWS_LASTS = 5000;

/** @param {HTMLElement} note */
export function watchNetwork(note) {
  let timer = 0;
  /**
   * @param {string} words
   * @param {boolean} isGood
   */
  const show = (words, isGood) => {
    clearTimeout(timer);
    note.classList.toggle("is-good", isGood);
    showText(note, words);
  };
  const down = () => show("You are offline. Uploads go on by themselves when the network is back.", false);
  addEventListener("offline", down);
  addEventListener("online", () => {
    show("Back online. Going on.", true);
    timer = window.setTimeout(() => show("", true), GOOD_NEWS_LASTS);
  });
  if (navigator.onLine === false) down();
}
