// The uploader page as a person uses it, through the hooks that its markup promises: `input#file-input`, rows
// `li.upload[data-name][data-state]`, `button[data-action]`, `dialog#key-dialog`.

import { chromium } from "playwright-core";

const program = process.env.CHROMIUM?.includes("/") ? process.env.CHROMIUM : `/usr/bin/${process.env.CHROMIUM || "chromium"}`;

/** A browser with a profile folder of its own, which can be closed and opened again. */
export class Browser {
  /**
   * @param {string} profile folder; the same folder is the same person's browser
   * @param {{ clockOffset?: number, args?: string[], scripts?: boolean }} [options] ms by which the browser's clock is
   *   wrong; further words of its command line; whether pages may run scripts
   */
  static async open(profile, { clockOffset = 0, args = [], scripts = true } = {}) {
    const browser = new Browser();
    browser.context = await chromium.launchPersistentContext(profile, {
      executablePath: program,
      headless: true,
      javaScriptEnabled: scripts,
      // Chromium refuses its sandbox to root, and /dev/shm may be tiny in a container.
      args: ["--no-sandbox", "--disable-dev-shm-usage", "--disable-gpu", "--no-proxy-server", ...args],
      viewport: { width: 1100, height: 800 },
    });
    browser.complaints = [];
    if (clockOffset) await browser.context.addInitScript(shiftClock, clockOffset);
    return browser;
  }

  async visit(url) {
    const page = this.context.pages()[0] ?? (await this.context.newPage());
    const uploader = new UploaderPage(page);
    await page.goto(url);
    return uploader;
  }

  async close() {
    await this.context.close();
  }
}

/** Runs in the page before anything else: all ways to ask the time answer wrongly, timers stay as they are. */
function shiftClock(offset) {
  const Real = Date;
  globalThis.Date = class Date extends Real {
    constructor(...words) {
      if (words.length === 0) super(Real.now() + offset);
      else super(...words);
    }
    static now() {
      return Real.now() + offset;
    }
  };
}

/** @typedef {{ path: string, name: string }} TestFile */

export class UploaderPage {
  /** @param {import("playwright-core").Page} page */
  constructor(page) {
    this.page = page;
    /** Requests to hosts other than the page's own, by host. */
    this.errors = [];
    page.on("pageerror", (error) => this.errors.push(String(error)));
  }

  /** Chooses files as with the button. @param {TestFile[]} files */
  async choose(...files) {
    await this.page.locator("input#file-input").setInputFiles(files.map((file) => file.path));
  }

  async useKey(key) {
    const dialog = this.page.locator("dialog#key-dialog");
    if (!(await dialog.isVisible())) await this.page.locator("#use-key").click();
    await dialog.locator("input#api-key").fill(key);
    await dialog.locator("button[type=submit]").click();
    await dialog.waitFor({ state: "hidden" });
  }

  row(name) {
    return this.page.locator(`li.upload[data-name=${JSON.stringify(name)}]`);
  }

  unfinished(name) {
    return this.page.locator(`li.unfinished[data-name=${JSON.stringify(name)}]`);
  }

  async press(name, action) {
    await this.row(name).locator(`button[data-action="${action}"]`).click();
  }

  /** What the row says: `{ state, id, sent, size, error }`; `undefined` where there is no such row. */
  async status(name) {
    return this.page.evaluate((wanted) => {
      const row = [...document.querySelectorAll("li.upload")].find((item) => item.dataset.name === wanted);
      return row && {
        state: row.dataset.state,
        id: row.dataset.id,
        sent: Number(row.dataset.sentBytes ?? 0),
        size: Number(row.dataset.size ?? 0),
        error: row.querySelector(".error:not([hidden])")?.textContent ?? "",
      };
    }, name);
  }

  /** Waits until the row is in one of the states. Failing is an answer at once, unless that is what is waited for. */
  async reach(name, states, timeout = 60_000) {
    const wanted = [states].flat();
    return this.watch(name, (row) => wanted.includes(row.state), wanted.join(" or "), timeout);
  }

  /** Waits until the store has acknowledged at least `bytes` of the file. */
  async sent(name, bytes, timeout = 60_000) {
    return this.watch(name, (row) => row.sent >= bytes, `${bytes} bytes`, timeout);
  }

  async watch(name, enough, what, timeout) {
    const end = Date.now() + timeout;
    let row;
    for (;;) {
      row = await this.status(name);
      if (row && enough(row)) return row;
      if (row && ["failed", "cancelled"].includes(row.state)) break;
      if (Date.now() > end) break;
      await this.page.waitForTimeout(50);
    }
    throw new Error(`${name} did not reach ${what}: ${JSON.stringify(row)} ${this.errors.join("\n")}`);
  }

  /** Asks the native API from inside the page, so with the page's own cookie. */
  async api(path) {
    return this.page.evaluate(async (address) => {
      const answer = await fetch(address);
      return { status: answer.status, body: await answer.json() };
    }, `/api/v1${path}`);
  }
}
