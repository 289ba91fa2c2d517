/**
 * A world that tests command: the clock stands still until told, pauses cost no time, chance is a constant. Only
 * the sockets are real.
 */

import { webcrypto } from "node:crypto";

import { surroundings } from "../../src/environment.js";

export class World {
  time = 0;
  /** Lengths of all pauses so far, in milliseconds. */
  pauses = [];
  chance = 0.5;
  online = true;
  /** When false, a pause lasts until `advance` has gone past it. */
  pausesPassByThemselves = true;
  #watchdogs = new Set();
  #sleepers = new Set();
  #listeners = new Set();

  /** @param {Partial<import("../../src/environment.js").Environment>} [overrides] */
  environment(overrides = {}) {
    return {
      ...surroundings,
      XMLHttpRequest: undefined,
      subtle: webcrypto.subtle, // Node 18 has it here only
      now: () => this.time,
      random: () => this.chance,
      sleep: (ms, signal) => this.#sleep(ms, signal),
      after: (ms, act) => {
        const watchdog = { due: this.time + ms, act };
        this.#watchdogs.add(watchdog);
        return () => this.#watchdogs.delete(watchdog);
      },
      isOnline: () => this.online,
      onConnectivity: (listener) => {
        this.#listeners.add(listener);
        return () => this.#listeners.delete(listener);
      },
      ...overrides,
    };
  }

  goOnline(online) {
    this.online = online;
    for (const listener of [...this.#listeners]) listener(online);
  }

  /** Lets time pass: due watchdogs bark, due sleepers wake. */
  advance(ms) {
    this.time += ms;
    for (const watchdog of [...this.#watchdogs]) {
      if (watchdog.due > this.time) continue;
      this.#watchdogs.delete(watchdog);
      watchdog.act();
    }
    for (const sleeper of [...this.#sleepers]) if (sleeper.due <= this.time) sleeper.wake();
  }

  #sleep(ms, signal) {
    this.pauses.push(ms);
    return new Promise((resolve) => {
      if (signal.aborted) return resolve();
      const sleeper = {
        due: this.time + ms,
        wake: () => {
          this.#sleepers.delete(sleeper);
          signal.removeEventListener("abort", sleeper.wake);
          resolve();
        },
      };
      this.#sleepers.add(sleeper);
      signal.addEventListener("abort", sleeper.wake);
      if (!this.pausesPassByThemselves) return;
      setImmediate(() => {
        if (!this.#sleepers.has(sleeper)) return;
        this.time = Math.max(this.time, sleeper.due);
        sleeper.wake();
      });
    });
  }
}

/** Waits for something that real sockets bring about. */
export async function until(condition, what = "condition") {
  const deadline = Date.now() + 5000;
  while (!condition()) {
    if (Date.now() > deadline) throw new Error(`never happened: ${what}`);
    await new Promise((resolve) => setTimeout(resolve, 2));
  }
}
