/**
 * Muleteer's own protocol: our server plans the parts and signs them, the parts go straight to the store, or through
 * our server while the store cannot be reached, or where it keeps them itself. One of several ways to upload, each behind the same four verbs
 * (create, send, status, finish, and discard for giving up), so that `uploader.js` knows none of them.
 */

import { UploadError, throwIfAborted } from "../errors.js";
import { Summer } from "../checksums/summer.js";
import { Slices } from "../slices.js";
import { NativeApi } from "./native/api.js";
import { callAs, timedCallAs } from "./native/calls.js";
import { Claims } from "./native/claims.js";
import { sendPart } from "./native/parts.js";
import { Records } from "./native/records.js";
import { Route } from "./native/route.js";
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
 * @property {Claims} claims
 * @property {Map<number, import("../slices.js").StoredPart>} unsummed  parts in the store whose sums the server lacks
 * @property {Records} records
 * @property {Set<number>} refused  parts whose address was refused and signed anew once
 * @property {Map<number, number>} stalls  how often in a row a part stood still
 * @property {boolean} isRelayed  whether all parts go through our server, as it says itself: nothing is signed for them
 * @property {boolean} canRelay  whether parts may go through our server; once found impossible, never again
 *
 * @typedef {Session & {private: Private}} NativeSession
 */

/** Joining ten thousand parts may take the store minutes. */
const FINISH_WITHIN = 5 * 60_000;
/** States that no part can be added to any more, in words for a person. @type {Map<string, string>} */
const ENDINGS = new Map([
  ["aborted", "This upload was given up elsewhere."],
  ["expired", "This upload lay idle for too long and has expired."],
  ["failed", "The server could not put this upload together."],
]);

/**
 * Uploads that share a protocol share what it learns about the way to the store.
 * @param {(import("./native/api.js").ApiOptions | {api: NativeApi}) & {fallback?: boolean, checksums?: boolean}}
 *   [options]  `fallback`: whether parts go through our server while the store cannot be reached (those of which the server says that
 *   they must, do so in either case); `checksums`: whether
 *   parts are sent with their checksums; both true when absent
 * @returns {Protocol}
 */
export function native(options = {}) {
  const api = "api" in options ? options.api : new NativeApi(options);
  const route = new Route(api.env);
  const ways = {
    canRelay: options.fallback ?? true,
    checksums: options.checksums ?? true,
    summer: new Summer(api.env),
    passage: { isOpen: false, doubts: 0, isBarred: false },
  };
  return {
    create: (source, run) => create(api, ways, source, run),
    send: (session, number, body, run) =>
      sendPart({ api, route, session: /** @type {NativeSession} */ (session), number, body, run }),
    status: (session, run) => status(api, /** @type {NativeSession} */ (session), run),
    finish: (session, run) => finish(api, /** @type {NativeSession} */ (session), run),
    discard: (session, run) => discard(api, /** @type {NativeSession} */ (session), run),
  };
}

/**
 * Begins an upload, or finds the one that this file began earlier.
 * @param {NativeApi} api
 * @param {{canRelay: boolean, checksums: boolean, summer: Summer, passage: import("./native/claims.js").Passage}} ways
 * @param {Source} source
 * @param {Run} run
 * @returns {Promise<Session>}
 */
async function create(api, { canRelay, checksums, summer, passage }, source, run) {
  const found = await api.call("POST", "/uploads", {
    filename: source.name,
    size: source.file.size,
    content_type: source.contentType || undefined,
    last_modified: source.lastModified,
    fingerprint: source.fingerprint,
    metadata: source.metadata,
    part_size: source.partSize,
    resume: source.resume,
    checksums: checksums || undefined,
  }, run);
  const slices = new Slices(found.size, found.part_size, found.part_count);
  const checksum = checksums ? found.checksum : null;
  const claims = new Claims({ summer, passage, slices, file: source.file, checksum });
  /** @type {import("./native/signatures.js").AskForSignatures} */
  const ask = (body, askingRun) => timedCallAs(api, session, "POST", "/signatures", body, askingRun);
  /** @type {NativeSession} */
  const session = {
    id: found.id,
    supportCode: found.support_code,
    slices,
    result: null,
    private: {
      token: found.token,
      claims,
      unsummed: new Map(),
      signatures: new Signatures(api.env, ask, slices, claims),
      records: new Records((parts, r) => callAs(api, session, "POST", "/parts", { parts }, r)),
      refused: new Set(),
      stalls: new Map(),
      isRelayed: found.transfer === "relay",
      canRelay,
    },
  };
  adopt(session, found);
  // Where CORS hides `Date`, the server's time has to be asked for: addresses expire by it.
  if (!api.seesDate && !session.private.isRelayed) await api.session(run);
  return session;
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
  await tellMissingSums(session, run);
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
 * Parts that an earlier life of the page sent, and whose report was lost: their sums are made of the file as it is now.
 * @param {NativeSession} session
 * @param {Run} run
 */
async function tellMissingSums({ slices, private: { claims, unsummed, records } }, run) {
  for (const [number, { etag }] of unsummed) {
    const sums = await claims.of(number);
    throwIfAborted(run.signal);
    if (sums) records.add({ number, size: slices.sizeOf(number), etag: etag ?? undefined, checksums: sums }, run);
    unsummed.delete(number);
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
 * @param {NativeSession} session
 * @param {UploadDocument} found
 */
function adopt(session, found) {
  const ending = ENDINGS.get(found.state);
  if (ending) throw new UploadError(found.state, ending);
  if (found.token) session.private.token = found.token;
  session.slices.adopt(found.parts);
  session.private.unsummed.clear();
  for (const part of found.parts) if (part.is_summed === false) session.private.unsummed.set(part.number, part);
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
