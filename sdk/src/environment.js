/**
 * Everything the kit takes from the world around it: time, chance, the network, whether we are online. It is
 * one object, so that tests set the clock instead of sleeping, and so that the kit runs outside browsers.
 */

/**
 * @typedef {object} Environment
 * @property {() => number} now  milliseconds on a clock that only moves forward; never the wall clock, which
 *   may be wrong by days and may jump
 * @property {(ms: number, signal: AbortSignal) => Promise<void>} sleep  a pause; an abort ends it early
 * @property {(ms: number, act: () => void) => () => void} after  a watchdog; calling the result stops it
 * @property {() => number} random  at least 0, less than 1
 * @property {typeof globalThis.fetch} fetch
 * @property {(new () => XMLHttpRequest) | undefined} XMLHttpRequest  the only way to see a request body leave
 * @property {typeof globalThis.Worker | undefined} Worker  a thread for checksums; without one they are made here
 * @property {SubtleCrypto | undefined} subtle  missing on pages that were not loaded securely
 * @property {() => boolean} isOnline
 * @property {(listener: (online: boolean) => void) => () => void} onConnectivity  returns the way to stop
 */

/** @type {Environment} */
export const surroundings = {
  now: () => performance.now(),
  sleep,
  after(ms, act) {
    const timer = setTimeout(act, ms);
    return () => clearTimeout(timer);
  },
  random: Math.random,
  fetch: (input, init) => globalThis.fetch(input, init),
  XMLHttpRequest: globalThis.XMLHttpRequest,
  Worker: globalThis.Worker,
  subtle: globalThis.crypto?.subtle,
  // Outside browsers there is no `onLine`: whatever is not plainly false counts as online.
  isOnline: () => globalThis.navigator?.onLine !== false,
  onConnectivity,
};

/**
 * @param {number} ms
 * @param {AbortSignal} signal
 * @returns {Promise<void>}
 */
function sleep(ms, signal) {
  return new Promise((resolve) => {
    if (signal.aborted) return resolve();
    const wake = () => {
      clearTimeout(timer);
      signal.removeEventListener("abort", wake);
      resolve();
    };
    const timer = setTimeout(wake, ms);
    signal.addEventListener("abort", wake);
  });
}

/**
 * @param {(online: boolean) => void} listener
 * @returns {() => void}
 */
function onConnectivity(listener) {
  if (typeof globalThis.addEventListener !== "function") return () => {};
  const up = () => listener(true);
  const down = () => listener(false);
  globalThis.addEventListener("online", up);
  globalThis.addEventListener("offline", down);
  return () => {
    globalThis.removeEventListener("online", up);
    globalThis.removeEventListener("offline", down);
  };
}
