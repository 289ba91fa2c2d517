/**
 * Sends every missing part of one session with several workers at once. What a part is and where it goes, the
 * session and its protocol know; whether the upload as a whole goes on, `uploader.js` decides.
 */

import { UploadError, throwIfAborted } from "./errors.js";
import { persist } from "./retry.js";

/**
 * @typedef {import("./types.js").Run} Run
 * @typedef {import("./types.js").Session} Session
 * @typedef {import("./types.js").Protocol} Protocol
 * @typedef {import("./types.js").Retry} Retry
 *
 * @typedef {object} Delivery
 * @property {Protocol} protocol
 * @property {Session} session
 * @property {Blob} file
 * @property {number} workers  most parts of this file at once
 * @property {<T>(signal: AbortSignal, task: () => Promise<T>) => Promise<T>} inSlot  waits for its turn
 * @property {() => void} onProgress
 * @property {(number: number) => void} onPart  a part was begun, stored or lost
 * @property {(retry: Retry & {part: number}) => void} onRetry
 */

/**
 * Resolves when no part is missing. The first part that fails for good ends all the others.
 * @param {Delivery} delivery
 * @param {Run} run
 */
export async function deliver(delivery, run) {
  const { slices } = delivery.session;
  const stop = new AbortController();
  run.signal.addEventListener("abort", () => stop.abort(run.signal.reason), { once: true });
  throwIfAborted(run.signal);
  /** @type {unknown[]} */
  const failures = [];

  const worker = async () => {
    while (!stop.signal.aborted && slices.hasMissing) {
      await delivery.inSlot(stop.signal, async () => {
        const number = slices.claim();
        if (number !== null) await deliverPart(delivery, number, { ...run, signal: stop.signal });
      });
    }
  };
  const watched = async () => {
    try {
      await worker();
    } catch (error) {
      failures.push(error);
      stop.abort(new UploadError("stopped", "Another part of this file failed."));
    }
  };
  await Promise.all(Array.from({ length: Math.min(delivery.workers, slices.count) }, watched));
  throwIfAborted(run.signal);
  if (failures.length > 0) throw failures[0];
}

/**
 * @param {Delivery} delivery
 * @param {number} number
 * @param {Run} run
 */
async function deliverPart({ protocol, session, file, onProgress, onPart, onRetry }, number, run) {
  const { slices } = session;
  /** @param {number} bytes */
  const onSent = (bytes) => {
    slices.sent(number, bytes);
    onProgress();
  };
  const attempt = async () => {
    onSent(0);
    await protocol.send(session, number, slices.cut(file, number), { ...run, onSent });
  };
  onPart(number);
  try {
    await persist(attempt, {
      ...run,
      onRetry: (retry) => {
        onSent(0);
        onRetry({ ...retry, part: number });
      },
    });
    slices.done(number);
  } catch (error) {
    slices.missing(number);
    throw error;
  } finally {
    onPart(number);
    onProgress();
  }
}
