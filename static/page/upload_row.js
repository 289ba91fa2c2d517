/**
 * One file on the page: draws what its `Upload` says and passes on what a person presses. It decides nothing
 * about the upload itself.
 */

import { Meter } from "../sdk/index.js";
import { cloneTemplate, find, setText, showText } from "./dom.js";
import * as format from "./format.js";
import { drawParts } from "./parts_map.js";

/**
 * @typedef {import("../sdk/index.js").Upload} Upload
 * @typedef {import("../sdk/index.js").UploadError} UploadError
 * @typedef {import("./announcer.js").Announcer} Announcer
 */

/** @type {Record<string, string>} */
const WORDS = {
  waiting: "Waiting",
  hashing: "Getting ready",
  uploading: "",
  paused: "Paused",
  offline: "Offline",
  completing: "Joining the parts",
  complete: "Done",
  failed: "Failed",
  cancelled: "Cancelled",
};

/** Which buttons a state offers. @type {Record<string, string[]>} */
const ACTIONS = {
  waiting: ["pause", "cancel"],
  hashing: ["pause", "cancel"],
  uploading: ["pause", "cancel"],
  offline: ["pause", "cancel"],
  completing: ["cancel"],
  paused: ["resume", "cancel"],
  failed: ["retry", "cancel"],
  complete: ["dismiss"],
  cancelled: ["dismiss"],
};

/** These buttons come and go with the object's address. */
const OF_THE_OBJECT = new Set(["copy", "receipt"]);

/** In these states the person's leaving would interrupt something. */
const RUNNING = new Set(["waiting", "hashing", "uploading", "offline", "completing"]);

export class UploadRow {
  #meter = new Meter();
  #isDrawn = true;
  /** Bytes acknowledged when the last failure was shown: the note goes once something has arrived since. */
  #acknowledgedAtRetry = -1;
  /** All of it is there, and the server says that it does not count before it has been looked at. */
  #isBeingChecked = false;

  /**
   * @param {Upload} upload
   * @param {{announcer: Announcer, onChange: () => void, start: () => void, dismiss: (row: UploadRow) => void,
   *   receipt: (upload: Upload) => Promise<void>, hasStore: boolean}} page  `hasStore`: without one, the way through the
   *   server is no detour
   */
  constructor(upload, page) {
    this.upload = upload;
    this.page = page;
    this.element = cloneTemplate("upload-row");
    this.element.dataset.name = upload.name;
    this.element.dataset.size = String(upload.file.size);
    const name = format.name(upload.name);
    setText(this.#part(".file-name"), name);
    setText(this.#part(".file-size"), format.bytes(upload.file.size));
    this.#part(".bar").setAttribute("aria-label", name);
    for (const button of this.element.querySelectorAll("button")) {
      button.setAttribute("aria-label", `${button.title}: ${name}`);
    }
    this.element.addEventListener("click", (event) => this.#onClick(event));
    upload.on("state", (state) => this.#onState(state));
    upload.on("progress", () => this.requestDraw());
    upload.on("part", () => this.requestDraw());
    upload.on("route", (route) => this.#onRoute(route));
    upload.on("retry", ({ error, pause }) => this.#onRetry(error, pause));
    upload.on("error", (error) => showText(this.#part(".error"), error.message));
    this.draw();
  }

  get isRunning() {
    return RUNNING.has(this.upload.state);
  }

  /** Bytes a second; 0 while nothing moves. */
  get speed() {
    return this.upload.state === "uploading" ? this.#meter.speed ?? 0 : 0;
  }

  /** At most one drawing a frame, however often the upload speaks. */
  requestDraw() {
    const { acknowledged, inFlight } = this.upload.progress;
    this.#meter.sample(performance.now(), acknowledged + inFlight);
    // The attributes are current at once: they do not wait for a tab in the background to be drawn.
    this.element.dataset.sentBytes = String(acknowledged);
    if (!this.#isDrawn) return;
    this.#isDrawn = false;
    requestAnimationFrame(() => this.draw());
  }

  draw() {
    this.#isDrawn = true;
    const { upload, element } = this;
    const { size, acknowledged, inFlight } = upload.progress;
    const isComplete = upload.state === "complete";
    element.dataset.state = upload.state;
    element.dataset.sentBytes = String(acknowledged);
    element.dataset.route = upload.route;
    if (upload.id) element.dataset.id = upload.id;
    const code = this.#part(".support-code");
    code.hidden = upload.supportCode === null;
    setText(find(code, "code", HTMLElement), upload.supportCode ?? "");

    const percent = isComplete ? 100 : format.percent(acknowledged, size);
    this.#part(".bar").setAttribute("aria-valuenow", String(percent));
    const whole = size || 1;
    this.#part(".bar-done").style.inlineSize = `${isComplete ? 100 : (acknowledged / whole) * 100}%`;
    this.#part(".bar-flight").style.inlineSize = `${isComplete ? 0 : ((acknowledged + inFlight) / whole) * 100}%`;
    this.#drawFigures(percent, size - acknowledged - inFlight);
    this.#drawActions();
    this.#drawMap();
    if (acknowledged > this.#acknowledgedAtRetry) showText(this.#part(".note"), "");
    if (upload.state === "uploading") this.page.announcer.progress(upload, upload.name, percent);
  }

  /**
   * @param {number} percent
   * @param {number} remaining  bytes
   */
  #drawFigures(percent, remaining) {
    const { state, file, progress } = this.upload;
    const isMoving = state === "uploading";
    const speed = isMoving ? this.#meter.speed : null;
    const seconds = isMoving ? this.#meter.secondsLeft(remaining) : null;
    const hasBegun = progress.acknowledged > 0 || (isMoving && this.upload.slices?.isMoving);
    const isQueued = isMoving && !speed && this.upload.slices?.isMoving === false;
    const isChecked = this.#isBeingChecked && state === "completing";
    setText(this.#part(".status"), isQueued ? "Waits for its turn" : isChecked ? "Being checked" : WORDS[state]);
    setText(this.#part(".percent"), state !== "complete" && hasBegun && file.size > 0 ? `${percent} %` : "");
    setText(this.#part(".speed"), speed ? format.speed(speed) : "");
    this.#part(".detour").hidden = !isMoving || !this.page.hasStore || this.upload.route === "direct";
    setText(this.#part(".left"), seconds !== null ? format.timeLeft(seconds) : "");
  }

  #drawActions() {
    const offered = ACTIONS[this.upload.state];
    const focused = document.activeElement;
    for (const button of this.element.querySelectorAll("button")) {
      const action = button.dataset.action ?? "";
      if (!OF_THE_OBJECT.has(action)) button.hidden = !offered.includes(action);
    }
    // A button that vanishes under the keyboard's focus hands it to the one that takes its place.
    if (focused instanceof HTMLElement && focused.hidden && this.element.contains(focused)) {
      find(this.element, `button[data-action="${offered[0]}"]`, HTMLButtonElement).focus();
    }
  }

  #drawMap() {
    const map = find(this.element, ".parts-map", HTMLCanvasElement);
    const { slices, state } = this.upload;
    if (slices && state !== "complete" && state !== "cancelled") drawParts(map, slices);
    else map.hidden = true;
  }

  /** @param {string} state */
  #onState(state) {
    const { upload } = this;
    if (state === "paused" || state === "offline" || state === "waiting") this.#meter.reset();
    if (state !== "uploading") showText(this.#part(".note"), "");
    if (state !== "failed") showText(this.#part(".error"), "");
    if (state !== "completing") this.#isBeingChecked = false;
    if (state === "complete") this.#showLocation();
    const words = { complete: "done", failed: "failed", paused: "paused", cancelled: "cancelled", offline: "offline" };
    const spoken = /** @type {Record<string, string | undefined>} */ (words)[state];
    if (spoken) this.page.announcer.say(`${upload.name}: ${spoken}.`);
    this.draw();
    this.page.onChange();
  }

  /** @param {"direct" | "relay"} route */
  #onRoute(route) {
    // What was said about the way that failed is of no more use.
    if (route === "relay") showText(this.#part(".note"), "");
    if (this.page.hasStore) this.page.announcer.route(route);
    this.draw();
  }

  /**
   * @param {UploadError} error
   * @param {number} pause  milliseconds
   */
  #onRetry(error, pause) {
    if (error.atOnce) return;
    if (error.code === "still-completing") return this.#showChecking();
    this.#acknowledgedAtRetry = this.upload.progress.acknowledged;
    const seconds = Math.ceil(pause / 1000);
    showText(this.#part(".note"), `${error.message} Trying again ${seconds > 1 ? `in ${seconds} s` : "now"}.`);
  }

  /** The address is no link: objects are private, and a click would only show the store's refusal, and a path no page. */
  #showLocation() {
    const { result } = this.upload;
    const address = result?.location ?? result?.key ?? "";
    setText(this.#part(".location"), address);
    this.#part(".arrived").hidden = address === "";
  }

  /** Nothing has gone wrong, so there is nothing to say of trying again. */
  #showChecking() {
    if (!this.#isBeingChecked) this.page.announcer.say(`${this.upload.name}: sent, and being checked.`);
    this.#isBeingChecked = true;
    this.requestDraw();
  }

  /** @param {Event} event */
  #onClick(event) {
    const button = event.target instanceof Element ? event.target.closest("button") : null;
    switch (button?.dataset.action) {
      case "pause": return this.upload.pause();
      case "resume":
      case "retry": return this.page.start();
      case "cancel": return void this.upload.cancel();
      case "dismiss": return this.page.dismiss(this);
      case "copy": return void this.#copy();
      case "receipt": return void this.#saveReceipt();
      default: return undefined;
    }
  }

  async #copy() {
    const address = this.#part(".location");
    try {
      await navigator.clipboard.writeText(address.textContent ?? "");
      this.page.announcer.say("Address copied.");
      this.element.classList.add("is-copied");
      setTimeout(() => this.element.classList.remove("is-copied"), 1500);
    } catch {
      // Pages loaded over plain http have no clipboard: the address is selected for the person to copy.
      getSelection()?.selectAllChildren(address);
    }
  }

  async #saveReceipt() {
    showText(this.#part(".error"), "");
    try {
      await this.page.receipt(this.upload);
    } catch (error) {
      showText(this.#part(".error"), error instanceof Error ? error.message : String(error));
    }
  }

  /** @param {string} selector */
  #part(selector) {
    return find(this.element, selector, HTMLElement);
  }
}
