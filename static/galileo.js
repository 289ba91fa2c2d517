/**
 * The demo of GalileoSend: one file, a bar, and two buttons.
 */

import { GalileoUploader } from "./sdk/galileo/index.js";
import { find, setText } from "./page/dom.js";
import * as format from "./page/format.js";

const main = find(document, "#galileo", HTMLElement);
const input = find(document, "#file", HTMLInputElement);
const bar = find(document, "#progress", HTMLProgressElement);
const state = find(document, "#state", HTMLElement);
const pause = find(document, "#pause", HTMLButtonElement);
const abort = find(document, "#abort", HTMLButtonElement);

/** @type {GalileoUploader | null} */
let upload = null;

input.addEventListener("change", () => {
  const file = input.files?.[0];
  if (!file) return;
  upload?.pause();
  upload = new GalileoUploader(file, { url: main.dataset.mount });
  watch(upload);
  upload.start();
});
pause.addEventListener("click", () => {
  if (upload?.state === "paused" || upload?.state === "failed") upload.resume();
  else upload?.pause();
});
abort.addEventListener("click", () => upload?.abort());

/** @param {GalileoUploader} watched */
function watch(watched) {
  const show = () => watched === upload && draw(watched);
  watched.on("progress", show);
  watched.on("state", show);
  watched.finished().catch(() => show());
}

/** @param {GalileoUploader} upload */
function draw({ state: now, progress: { stored, size }, error }) {
  main.dataset.state = now;
  bar.value = size ? stored / size : Number(now === "complete");
  const words = `${format.bytes(stored)} of ${format.bytes(size)}`;
  setText(state, now === "failed" ? `${words} · ${error?.message}` : `${words} · ${now}`);
  const isOver = now === "complete" || now === "aborted";
  pause.disabled = isOver;
  abort.disabled = isOver;
  setText(pause, now === "paused" || now === "failed" ? "Go on" : "Pause");
}
