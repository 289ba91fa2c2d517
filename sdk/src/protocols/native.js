/**
 * Muleteer's own protocol: our server plans the parts and signs them, the parts go straight to the store. One of
 * several ways to upload, each behind the same four verbs (create, send, status, finish, and discard for giving
 * up), so that `uploader.js` knows none of them.
 */

import { UploadError } from "../errors.js";
import { isPassing, put, retryAfterOf } from "../http.js";
import { Slices, assertReadable } from "../slices.js";
import { NativeApi } from "./native/api.js";
import { Records } from "./native/records.js";
import { Signatures } from "./native/signatures.js";

/**
 * @typedef {import("../types.js").Protocol} Protocol
 * @typedef {import("../types.js").Run} Run
 * @typedef {import("../types.js").Session} Session
 * @typedef {import("../types.js").Source} Source
 * @typedef {import("./native/api.js").UploadDocument} UploadDocument
 *
 * @typedef {object} Private  what this protocol keeps with a session
 * @property {string} [token]
 * @property {Signatures} signatures
 * @property {Records} records
 * @property {Set<number>} refused  parts whose address was refused and signed anew once
 * @property {Map<number, number>} stalls  how often in a row a part stood still
 *
 * @typedef {Session & {private: Private}} NativeSession
 */

/** Joining ten thousand parts may take the store minutes. */
const FINISH_WITHIN = 5 * 60_000;
/** A part that stands still again and again is on a slow line rather than a dead one: its limit grows. */
const MOST_STALL_DOUBLINGS = 3;
/** States that no part can be added to any more, in words for a person. @type {Map<string, string>} */
const ENDINGS = new Map([
  ["aborted", "This upload was given up elsewhere."],
  ["expired", "This upload lay idle for too long and has expired."],
  ["failed", "The server could not put this upload together."],
]);
/** Codes of the store's 4xx answers that are about the connection, not about the request. */
const PASSING_STORE_CODES = new Set(["RequestTimeout", "SlowDown", "IncompleteBody", "TooManyRequests"]);

/**
 * @param {import("./native/api.js").ApiOptions | {api: NativeApi}} [options]
 * @returns {Protocol}
 */
export function native(options = {}) {
  const api = "api" in options ? options.api : new NativeApi(options);
  return {
    create: (source, run) => create(api, source, run),
    send: (session, number, body, run) => send(api, /** @type {NativeSession} */ (session), number, body, run),
    status: (session, run) => status(api, /** @type {NativeSession} */ (session), run),
    finish: (session, run) => finish(api, /** @type {NativeSession} */ (session), run),
    discard: (session, run) => discard(api, /** @type {NativeSession} */ (session), run),
  };
}

/**
 * Begins an upload, or finds the one that this file began earlier.
 * @param {NativeApi} api
 * @param {Source} source
 * @param {Run} run
 * @returns {Promise<Session>}
 */
async function create(api, source, run) {
  const found = await api.call("POST", "/uploads", {
    filename: source.name,
    size: source.file.size,
    content_type: source.contentType || undefined,
    last_modified: source.lastModified,
    fingerprint: source.fingerprint,
    metadata: source.metadata,
    part_size: source.partSize,
    resume: source.resume,
  }, run);
  const slices = new Slices(found.size, found.part_size, found.part_count);
  /** @type {import("./native/signatures.js").AskForSignatures} */
  const ask = (body, askingRun) => timedCallAs(api, session, "POST", "/signatures", body, askingRun);
  /** @type {NativeSession} */
  const session = {
    id: found.id,
    slices,
    result: null,
    private: {
      token: found.token,
      signatures: new Signatures(api.env, ask, slices),
      records: new Records((parts, r) => callAs(api, session, "POST", "/parts", { parts }, r)),
      refused: new Set(),
      stalls: new Map(),
    },
  };
  adopt(session, found);
  // Where CORS hides `Date`, the server's time has to be asked for: addresses expire by it.
  if (!api.seesDate) await api.session(run);
  return session;
}

/**
 * Puts one part into the store: one try.
 * @param {NativeApi} api
 * @param {NativeSession} session
 * @param {number} number
 * @param {Blob} body
 * @param {Run & {onSent: (bytes: number) => void}} run
 */
async function send(api, session, number, body, run) {
  const { signatures, records, refused, stalls } = session.private;
  const url = await signatures.take(number, run);
  const doublings = Math.min(stalls.get(number) ?? 0, MOST_STALL_DOUBLINGS);
  const stallAfter = run.policy.stallAfter * 2 ** doublings;
  const answer = await put(api.env, { url, body, stallAfter, signal: run.signal, onSent: run.onSent })
    .catch(async (error) => {
      if (run.signal.aborted) throw error;
      await assertReadable(body);
      signatures.doubt(number);
      if (error instanceof UploadError && error.code === "stalled") stalls.set(number, doublings + 1);
      throw error;
    });
  if (answer.status >= 200 && answer.status <= 299) {
    signatures.spend(number);
    refused.delete(number);
    stalls.delete(number);
    records.add({ number, size: body.size, etag: answer.header("ETag") ?? undefined }, run);
    return;
  }
  throw refusal(session, number, answer);
}

/**
 * What the store's answer to a part means.
 * @param {NativeSession} session
 * @param {number} number
 * @param {import("../http.js").Answer} answer
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
  if (status === 404) {
    return new UploadError("vanished", `The store no longer knows this upload (${told}).`, { status });
  }
  signatures.refuse(number);
  const isFirst = !refused.has(number);
  refused.add(number);
  const message = `The store refuses part ${number} (${told}).`;
  return new UploadError("refused", message, { status, isRetryable: isFirst, atOnce: isFirst });
}

/**
 * Asks what the store holds and takes it over: nothing that it holds is sent again.
 * @param {NativeApi} api
 * @param {NativeSession} session
 * @param {Run} run
 */
async function status(api, session, run) {
  adopt(session, await callAs(api, session, "GET", "", undefined, run));
  session.private.refused.clear();
}

/**
 * Joins the parts.
 * @param {NativeApi} api
 * @param {NativeSession} session
 * @param {Run} run
 * @throws {UploadError} `incomplete` after the slices were told which parts are missing
 */
async function finish(api, session, run) {
  await session.private.records.flush(run);
  const policy = { ...run.policy, answerWithin: Math.max(FINISH_WITHIN, run.policy.answerWithin) };
  try {
    const found = await callAs(api, session, "POST", "/complete", undefined, { ...run, policy });
    session.result = resultOf(found);
  } catch (error) {
    if (error instanceof UploadError && error.code === "incomplete") {
      for (const { number } of error.problem?.defects ?? []) {
        if (number >= 1 && number <= session.slices.count) session.slices.missing(number);
      }
    }
    throw error;
  }
}

/**
 * Gives the upload up; the store frees what it holds of it.
 * @param {NativeApi} api
 * @param {NativeSession} session
 * @param {Run} run
 */
async function discard(api, session, run) {
  await callAs(api, session, "DELETE", "", undefined, run);
}

/**
 * A call about this upload, in the name of its own token. A token that has expired is replaced once, in the
 * name of whoever began the upload.
 *
 * @param {NativeApi} api
 * @param {NativeSession} session
 * @param {string} method
 * @param {string} path
 * @param {unknown} body
 * @param {import("./native/signatures.js").Run} run
 */
async function callAs(api, session, method, path, body, run) {
  return (await timedCallAs(api, session, method, path, body, run)).body;
}

/**
 * As {@link callAs}, with the moment of the call.
 * @param {NativeApi} api
 * @param {NativeSession} session
 * @param {string} method
 * @param {string} path
 * @param {unknown} body
 * @param {import("./native/signatures.js").Run} run
 */
async function timedCallAs(api, session, method, path, body, run) {
  const base = `/uploads/${encodeURIComponent(session.id)}`;
  const { token } = session.private;
  try {
    return await api.callTimed(method, base + path, body, { ...run, token });
  } catch (error) {
    if (!token || !(error instanceof UploadError) || error.status !== 401) throw error;
    const found = await api.call("GET", base, undefined, run);
    session.private.token = found.token;
    return api.callTimed(method, base + path, body, { ...run, token: found.token });
  }
}

/**
 * @param {NativeSession} session
 * @param {UploadDocument} found
 */
function adopt(session, found) {
  const ending = ENDINGS.get(found.state);
  if (ending) throw new UploadError(found.state, ending);
  if (found.token) session.private.token = found.token;
  session.slices.adopt(found.parts);
  session.result = found.state === "complete" ? resultOf(found) : null;
}

/** @param {UploadDocument} found */
function resultOf(found) {
  return {
    id: found.id,
    location: found.location ?? null,
    etag: found.etag ?? null,
    key: found.key ?? null,
    size: found.size,
  };
}
