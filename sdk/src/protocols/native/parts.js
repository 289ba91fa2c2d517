/**
 * How one part gets into the store: straight, to the address that our server signed, or through our server where the
 * store cannot be reached. Which of the two, `route.js` decides, unless the server says that there is but the one.
 */

import { UploadError, throwIfAborted } from "../../errors.js";
import { isPassing, put, retryAfterOf } from "../../http.js";
import { assertReadable } from "../../slices.js";
import { pathOf, withToken } from "./calls.js";

/**
 * @typedef {import("../../types.js").Run & {onSent: (bytes: number) => void}} Run
 * @typedef {import("../native.js").NativeSession} NativeSession
 * @typedef {import("./api.js").NativeApi} NativeApi
 * @typedef {import("./route.js").Route} Route
 *
 * @typedef {object} Delivery  one part and everything that its sending takes
 * @property {NativeApi} api
 * @property {Route} route
 * @property {NativeSession} session
 * @property {number} number
 * @property {Blob} body
 * @property {Run} run
 */

/** A part that stands still again and again is on a slow line rather than a dead one: its limit grows. */
const MOST_STALL_DOUBLINGS = 3;
/** Codes of the store's 4xx answers that are about the connection, not about the request. */
const PASSING_STORE_CODES = new Set(["RequestTimeout", "SlowDown", "IncompleteBody", "TooManyRequests"]);
/** Codes that are about our server's credentials: they were changed, and the next signature is made with others. */
const KEY_CODES = new Set(["ExpiredToken", "InvalidAccessKeyId", "InvalidToken", "TokenRefreshRequired"]);
/** These refusals of a part are about the visitor or the upload: no other way would lead around them. */
const FINAL_FOR_UPLOAD = new Set([401, 409, 410]);
/** The store got other bytes than we have. */
const DAMAGED_CODES = new Set(["BadDigest", "InvalidDigest", "XAmzContentChecksumMismatch", "XAmzContentSHA256Mismatch"]);
/** A line may break just when a part went with its checksum, and be mended just when it went without; hardly twice. */
const DOUBTS_TO_BAR = 2;
/** A line that damages the same part so often will not carry it. */
const MOST_TRIES_WHEN_DAMAGED = 8;

/**
 * Sends one part: one try. What fails straight while others go through our server goes through it at once.
 * @param {Delivery} delivery
 */
export async function sendPart(delivery) {
  const { route, run, session } = delivery;
  if (session.private.isRelayed) return relay(delivery);
  const way = session.private.canRelay ? route.choose() : "direct";
  if (way === "relay") return relay(delivery);
  if (way === "direct") run.onRoute?.("direct");
  const trouble = way === "probe" ? await probe(delivery) : await sendStraight(delivery, stallLimit(delivery));
  if (!trouble) {
    run.onRoute?.("direct");
    return;
  }
  const isCutOff = session.private.canRelay && route.isRelaying && trouble.status === undefined;
  if (way !== "probe" && !isCutOff) {
    if (trouble.code === "stalled") noteStall(delivery);
    throw trouble;
  }
  run.onSent(0);
  await relay(delivery, trouble);
}

/**
 * Tries whether the store can be reached again. It says so sooner than usual when nothing moves: the part has another
 * way.
 * @param {Delivery} delivery
 * @returns {Promise<UploadError | null>} as {@link sendStraight}
 */
async function probe(delivery) {
  const { policy } = delivery.run;
  /** @type {"taken" | "failed" | "interrupted"} */
  let outcome = "interrupted";
  try {
    const trouble = await sendStraight(delivery, Math.min(policy.stallAfter, policy.probeStallAfter));
    outcome = trouble ? "failed" : "taken";
    return trouble;
  } finally {
    delivery.route.endProbe(outcome, policy);
  }
}

/**
 * Puts the part to its signed address.
 * @param {Delivery} delivery
 * @param {number} stallAfter  milliseconds
 * @returns {Promise<UploadError | null>} what the store, or the way to it, had against the part; thrown is everything
 *   else
 */
async function sendStraight(delivery, stallAfter) {
  const { api, route, session, number, body, run } = delivery;
  const { claims, signatures, records } = session.private;
  const { url, askedAt, checksum } = await signatures.take(number, run);
  const sums = await claims.of(number);
  const headers = claims.headers(sums, checksum);
  const watch = route.watch(run.policy);
  let hasMoved = false;
  /** @type {import("../../http.js").Answer} */
  let answer;
  try {
    answer = await put(api.env, {
      url,
      body,
      headers,
      peer: "The store",
      // A cookie for the store's host is none of the signature's business.
      credentials: "omit",
      stallAfter,
      signal: run.signal,
      onSent: (bytes) => {
        hasMoved ||= bytes > 0;
        watch(bytes);
        run.onSent(bytes);
      },
    });
  } catch (error) {
    const failure = await explain(error, delivery);
    const mayBeBarred = Object.keys(headers).length > 0 && !claims.passage.isOpen && !hasMoved;
    if (mayBeBarred && failure.code === "network") return sendUnclaimed(delivery, stallAfter);
    signatures.doubt(number);
    route.failed({ askedAt, isStall: failure.code === "stalled" }, run.policy);
    return failure;
  }
  if (Object.keys(headers).length > 0) claims.passage.isOpen = true;
  const isTaken = answer.status >= 200 && answer.status <= 299;
  route.answered(isTaken);
  if (!isTaken) return refusal(session, number, answer);
  stored(delivery);
  const etag = answer.header("ETag") ?? undefined;
  records.add({ number, size: body.size, etag, checksums: sums ?? undefined }, run);
  return null;
}

/**
 * Sends a part without its checksum whose header nothing was heard of: CORS rules that do not allow it look like a broken
 * line. Where the store answers now, and did so before, no header is sent to it any more; our server is told the checksums
 * all the same, and compares them before the upload is complete.
 * @param {Delivery} delivery
 * @param {number} stallAfter
 * @returns {Promise<UploadError | null>} as {@link sendStraight}
 */
async function sendUnclaimed(delivery, stallAfter) {
  const { passage } = delivery.session.private.claims;
  passage.isBarred = true;
  try {
    const trouble = await sendStraight(delivery, stallAfter);
    if (!trouble || trouble.status !== undefined) passage.doubts += 1;
    return trouble;
  } finally {
    passage.isBarred = passage.doubts >= DOUBTS_TO_BAR;
  }
}

/**
 * Gives the part to our server, which puts it into the same upload at the store and records it.
 * @param {Delivery} delivery
 * @param {UploadError} [trouble]  why it does not go straight, where this try has found out
 */
async function relay(delivery, trouble) {
  const { api, route, session, number, body, run } = delivery;
  run.onRoute?.("relay");
  const path = `${pathOf(session)}/parts/${number}/content`;
  const stallAfter = stallLimit(delivery);
  const { claims } = session.private;
  const headers = claims.headersToServer(await claims.of(number));
  try {
    await withToken(api, session, run, (token) => api.putBytes(path, body, { ...run, token, headers, stallAfter }));
  } catch (error) {
    if (error instanceof UploadError && error.code === "checksum-mismatch") throw damaged(number, error);
    if (!(error instanceof UploadError) || error.status === undefined) {
      const failure = await explain(error, delivery);
      if (failure.code === "stalled") noteStall(delivery);
      route.relayFailed(run.policy);
      throw failure;
    }
    if (session.private.isRelayed || !isNoWay(error)) throw error;
    // An older server, or something before it that lets no such body through: it will not change during an upload.
    session.private.canRelay = false;
    throw trouble ?? straightAgain(error);
  }
  stored(delivery);
}

/**
 * Whether an answer means that parts cannot go through our server at all, though nothing is wrong with the upload.
 * @param {UploadError} error
 */
function isNoWay({ code, status = 0 }) {
  return code === "bad-answer" || status === 501
    || (status >= 400 && status < 500 && !isPassing(status) && !FINAL_FOR_UPLOAD.has(status));
}

/**
 * @param {number} number
 * @param {UploadError} cause
 */
function damaged(number, cause) {
  const message = `Part ${number} was damaged on its way.`;
  const { status } = cause;
  return new UploadError("damaged", message, { status, isRetryable: true, maxTries: MOST_TRIES_WHEN_DAMAGED, cause });
}

/** @param {UploadError} cause */
function straightAgain(cause) {
  const message = "The upload server does not pass parts on to the store.";
  return new UploadError("no-relay", message, { isRetryable: true, atOnce: true, cause });
}

/**
 * What a request without an answer means: an interruption, a file that is gone (both thrown), or a failure to be
 * tried again.
 * @param {unknown} error
 * @param {Delivery} delivery
 * @returns {Promise<UploadError>}
 */
async function explain(error, { body, run }) {
  throwIfAborted(run.signal);
  if (!(error instanceof UploadError)) throw error;
  await assertReadable(body);
  return error;
}

/**
 * How long this part may stand still, in milliseconds.
 * @param {Delivery} delivery
 */
function stallLimit({ session, number, run }) {
  return run.policy.stallAfter * 2 ** Math.min(session.private.stalls.get(number) ?? 0, MOST_STALL_DOUBLINGS);
}

/** @param {Delivery} delivery */
function noteStall({ session: { private: { stalls } }, number }) {
  stalls.set(number, (stalls.get(number) ?? 0) + 1);
}

/**
 * The part has arrived: its past troubles do not matter any more.
 * @param {Delivery} delivery
 */
function stored({ session: { private: { signatures, refused, stalls } }, number }) {
  signatures.spend(number);
  refused.delete(number);
  stalls.delete(number);
}

/**
 * What the store's answer to a part means.
 * @param {NativeSession} session
 * @param {number} number
 * @param {import("../../http.js").Answer} answer
 * @returns {UploadError}
 */
function refusal({ private: { signatures, refused } }, number, answer) {
  const code = /<Code>([^<]*)<\/Code>/.exec(answer.text)?.[1] ?? "";
  const words = /<Message>([^<]*)<\/Message>/.exec(answer.text)?.[1] ?? "";
  const told = [code, words].filter(Boolean).join(": ") || `status ${answer.status}`;
  const { status } = answer;
  if (isPassing(status) || PASSING_STORE_CODES.has(code)) {
    const message = `The store cannot take part ${number} at the moment (${told}).`;
    return new UploadError("store-error", message, { status, isRetryable: true, retryAfter: retryAfterOf(answer) });
  }
  if (DAMAGED_CODES.has(code)) {
    return damaged(number, new UploadError("refused", `The store refuses part ${number} (${told}).`, { status }));
  }
  if (status === 404) {
    return new UploadError("vanished", `The store no longer knows this upload (${told}).`, { status });
  }
  const isOfKey = KEY_CODES.has(code);
  signatures.refuse(number, isOfKey ? code : undefined);
  const isFirst = !refused.has(number);
  refused.add(number);
  const message = `The store refuses part ${number} (${told}).`;
  // An address that came too late, or from credentials that were changed meanwhile, says nothing against the part.
  const isRetryable = isFirst || isOfKey || isExpired(code, words);
  return new UploadError("refused", message, { status, isRetryable, atOnce: isFirst });
}

/**
 * S3 has no code of its own for an address that has expired: it says so in words.
 * @param {string} code
 * @param {string} words
 */
function isExpired(code, words) {
  return code === "AccessDenied" && /expired/i.test(words);
}
