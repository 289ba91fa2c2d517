/**
 * The uploader page: puts the kit and the page's pieces together. Each piece knows its own corner only.
 */

import { Memory, NativeApi, Pool, Upload, native } from "./sdk/index.js";
import { Announcer } from "./page/announcer.js";
import { find, setText, showText } from "./page/dom.js";
import { receiveFiles } from "./page/drop.js";
import * as format from "./page/format.js";
import { Identity, storedKey } from "./page/identity.js";
import { watchNetwork } from "./page/network.js";
import { Unfinished } from "./page/unfinished.js";
import { UploadRow } from "./page/upload_row.js";
import { keepWorkers } from "./page/workers.js";

const main = find(document, "#uploader", HTMLElement);
const input = find(document, "#file-input", HTMLInputElement);
const note = find(document, "#network-note", HTMLElement);
const list = find(document, "#uploads", HTMLElement);
const section = find(document, "#uploads-section", HTMLElement);
const summary = find(document, "#uploads-summary", HTMLElement);

const api = new NativeApi({ url: main.dataset.api, apiKey: storedKey });
const protocol = native({ api });
const pool = new Pool();
const memory = new Memory();
const announcer = new Announcer(find(document, "#announcer", HTMLElement));
/** @type {Set<UploadRow>} */
const rows = new Set();

const unfinished = new Unfinished(api, memory, {
  isOnPage: (id) => [...rows].some(({ upload }) => upload.id === id),
  choose: () => input.click(),
  say: (words) => announcer.say(words),
});
const identity = new Identity(api, () => {
  clearTimeout(isSlow);
  void refreshUnfinished();
  for (const { upload } of rows) if (upload.error?.status === 401) void start(upload);
});

/** The list is a help, not a condition: while it cannot be had, uploading works all the same. */
async function refreshUnfinished() {
  try {
    await unfinished.refresh();
  } catch (error) {
    console.warn("The list of unfinished uploads:", error);
  }
}

/** @param {File[]} files */
function add(files) {
  for (const file of files) {
    if (isAlreadyRunning(file)) {
      announcer.say(`${file.name} is already on the list.`);
      continue;
    }
    const upload = new Upload(file, { protocol, pool, memory });
    const row = new UploadRow(upload, {
      announcer,
      onChange: summarise,
      start: () => void start(upload),
      dismiss,
      receipt: saveReceipt,
      hasStore: main.dataset.transfer !== "relay",
    });
    upload.on("session", ({ id }) => unfinished.remove(id));
    upload.on("error", ({ status }) => status === 401 && identity.refused("The server wants to know who you are."));
    rows.add(row);
    list.append(row.element);
    void start(upload);
  }
  section.hidden = rows.size === 0;
  document.body.classList.toggle("has-uploads", rows.size > 0);
  summarise();
}

/**
 * A person may pause or cancel a file while the page still waits for a key.
 * @param {Upload} upload
 */
async function start(upload) {
  const stateBefore = upload.state;
  await identity.whenAllowed();
  if (upload.state === stateBefore) upload.start();
}

/**
 * The same file twice would be one upload with two masters.
 * @param {File} file
 */
function isAlreadyRunning(file) {
  return [...rows].some(({ upload }) => upload.name === file.name && upload.file.size === file.size
    && upload.lastModified === file.lastModified && upload.state !== "complete" && upload.state !== "cancelled"
    && upload.state !== "failed");
}

/** @param {UploadRow} row */
function dismiss(row) {
  rows.delete(row);
  row.element.remove();
  section.hidden = rows.size === 0;
  document.body.classList.toggle("has-uploads", rows.size > 0);
  summarise();
  input.focus();
}

/**
 * Hands the receipt over as a file: with a key in the page a mere link to it would be refused.
 * @param {Upload} upload
 */
async function saveReceipt(upload) {
  if (!upload.id) return;
  const receipt = await api.receipt(upload.id);
  const blob = new Blob([`${JSON.stringify(receipt, null, 2)}\n`], { type: "application/json" });
  const link = document.createElement("a");
  link.href = URL.createObjectURL(blob);
  link.download = `${upload.name}.receipt.json`;
  link.click();
  setTimeout(() => URL.revokeObjectURL(link.href), 60_000);
}

function summarise() {
  const all = [...rows];
  const running = all.filter((row) => row.isRunning);
  const done = all.filter(({ upload }) => upload.state === "complete").length;
  const speed = all.reduce((sum, row) => sum + row.speed, 0);
  setText(summary, [
    all.length > 1 ? `${format.count(done)} of ${format.count(all.length)} done` : "",
    all.filter((row) => row.speed > 0).length > 1 ? format.speed(speed) : "",
  ].filter(Boolean).join(" · "));
  const size = running.reduce((sum, { upload }) => sum + upload.progress.size, 0);
  const sent = running.reduce((sum, { upload }) => sum + upload.progress.acknowledged, 0);
  document.title = running.length > 0 ? `${format.percent(sent, size)} % · Muleteer` : "Upload · Muleteer";
}

/** Rows redraw when something happens; rates and the title also need the passing of time. */
setInterval(() => {
  for (const row of rows) if (row.isRunning) row.requestDraw();
  summarise();
}, 1000);

addEventListener("beforeunload", (event) => {
  if ([...rows].some((row) => row.isRunning)) event.preventDefault();
});
addEventListener("resize", () => rows.forEach((row) => row.requestDraw()));
matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => {
  rows.forEach((row) => row.requestDraw());
});

const maxSize = Number(main.dataset.maxSize);
if (maxSize > 0) {
  const hint = find(document, "#drop-hint", HTMLElement);
  setText(hint, `${hint.textContent} Up to ${format.bytes(maxSize)} a file.`);
}
keepWorkers(find(document, "#workers", HTMLInputElement), pool);
watchNetwork(note);
receiveFiles(input, find(document, "#drop-veil", HTMLElement), add);

if (main.dataset.anonymous === "false" && storedKey() === null) identity.ask();
const isSlow = setTimeout(() => unfinished.showRemembered(), 1000);
identity.refresh().catch((/** @type {unknown} */ error) => {
  showText(note, `${error instanceof Error ? error.message : error} Reload the page to try again.`);
});
