/**
 * The doctor's page: shows what the examination finds, line by line, and says the sum of it at the end.
 */

import { NativeApi } from "./sdk/index.js";
import { cloneTemplate, find, setText, showText } from "./page/dom.js";
import { storeKey, storedKey } from "./page/identity.js";
import { examine } from "./page/way_to_store.js";

/** @typedef {import("./page/way_to_store.js").Check} Check */

const main = find(document, "#doctor", HTMLElement);
const form = find(document, "#doctor-form", HTMLFormElement);
const input = find(document, "#api-key", HTMLInputElement);
const button = find(document, "#examine", HTMLButtonElement);
const section = find(document, "#checks-section", HTMLElement);
const verdict = find(document, "#verdict", HTMLElement);
const list = find(document, "#checks", HTMLElement);

const STATES = { good: "Good", bad: "Wrong", unknown: "Not known" };

const api = new NativeApi({ url: main.dataset.api, apiKey: storedKey });

input.value = storedKey() ?? "";
form.addEventListener("submit", (event) => {
  event.preventDefault();
  void run();
});

async function run() {
  storeKey(input.value.trim() || null);
  button.disabled = true;
  section.hidden = false;
  main.dataset.state = "examining";
  verdict.classList.remove("is-good");
  setText(verdict, "Examining …");
  list.replaceChildren();
  let wrong = 0;
  const way = await examine(api, location, (check) => {
    if (check.state === "bad") wrong += 1;
    list.append(lineOf(check));
  });
  main.dataset.state = "done";
  verdict.classList.toggle("is-good", wrong === 0);
  setText(verdict, wrong === 0
    ? `All is well: this browser sends its parts ${way === "relay" ? "through the server" : "straight to the store"}.`
    : `${wrong === 1 ? "One thing is" : `${wrong} things are`} wrong. Below stands what mends it.`);
  button.disabled = false;
}

/** @param {Check} check */
function lineOf({ title, state, seen, ids = [], fix = "", rule }) {
  const line = cloneTemplate("check-line");
  /** @param {string} selector */
  const part = (selector) => find(line, selector, HTMLElement);
  line.dataset.state = state;
  line.dataset.findings = ids.join(" ");
  setText(part(".check-state"), STATES[state]);
  setText(part(".check-title"), title);
  showText(part(".check-seen"), seen);
  part(".check-fix").hidden = fix === "";
  showText(part(".check-ids"), ids.join(" or "));
  setText(part(".check-mend"), fix);
  showText(part(".check-rule"), rule ? JSON.stringify(rule, null, 2) : "");
  return line;
}
