/**
 * Finds out whether this browser can send a part straight to the store, and if not, why: by sending one. Where all parts go
 * through the server, it sends one that way.
 *
 * A browser tells a page next to nothing about a request that failed. So each failure is followed by questions whose
 * answers it does tell, and the findings have the names that `muleteer doctor` gives them (docs/doctor.md).
 */

import { UploadError } from "../sdk/index.js";
import { answers, ask, inXml, isLoopback, watchPolicy } from "./asking.js";

/**
 * @typedef {import("../sdk/index.js").NativeApi} NativeApi
 *
 * @typedef {object} Check  one thing that was tried
 * @property {string} title
 * @property {"good" | "bad" | "unknown"} state
 * @property {string} seen
 * @property {string[]} [ids]  names of findings; several where a browser cannot tell them apart
 * @property {string} [fix]
 * @property {object} [rule]  a CORS rule, as `aws s3api put-bucket-cors` takes it
 *
 * @typedef {{origin: string, protocol: string, hostname: string}} Place  where the page is
 * @typedef {import("../sdk/types.js").Way} Way
 * @typedef {{id: string, token: string, transfer?: Way}} Begun
 * @typedef {{url: URL, serverTime: number, askedAt: number}} Signed
 */

const FILENAME = "muleteer-doctor.txt";
const BYTES = new TextEncoder().encode("Sent by the doctor's page of Muleteer, and given up again.\n");
/** A person waits: an answer within seconds, or a finding. */
const QUICK = { firstPause: 300, longestPause: 1000, patience: 4000, stallAfter: 15_000, answerWithin: 8000 };
/** As on the server: less than this is no finding. */
const NOTICED_SKEW = 60_000;

/** What the store's error codes mean: finding and fix. @type {Record<string, [id: string, fix: string]>} */
const REFUSALS = {
  RequestTimeTooSkewed: ["clock-skew", "Set the upload server's clock, and keep it by NTP (timedatectl set-ntp true)."],
  SignatureDoesNotMatch: ["public-endpoint-signature", "Have the proxy in front of the store keep Host, path and query as "
    + "they come. If there is none, s3.secret_access_key is not that of the key: muleteer doctor tells which it is."],
  InvalidAccessKeyId: ["credentials-unknown-key", "Set s3.access_key_id to a key of this store."],
  ExpiredToken: ["credentials-expired", "Get new credentials, or use a role whose credentials are renewed."],
  InvalidToken: ["credentials-bad-token", "Set s3.session_token to the key's own token, or clear it for a long-term key."],
  AccessDenied: ["permission-put", "Allow s3:PutObject for the key; muleteer policy prints what it needs."],
  NoSuchBucket: ["bucket-missing", "Mend s3.bucket, or s3.public_endpoint if that leads to another store."],
  PermanentRedirect: ["bucket-other-region", "Set s3.region to the bucket's region."],
  AuthorizationHeaderMalformed: ["bucket-other-region", "Set s3.region to the bucket's region."],
};

/**
 * Tries everything in turn and stops where going on makes no sense. The upload that this takes is given up again
 * whatever happens.
 *
 * @param {NativeApi} api
 * @param {Place} place
 * @param {(check: Check) => void} show  told of each check as soon as it is done
 * @returns {Promise<Way>} the way that parts go
 */
export async function examine(api, place, show) {
  if (!(await serverAnswers(api, show))) return "direct";
  const upload = await begin(api, show);
  if (!upload) return "direct";
  const leave = () => discardOnTheWayOut(api, upload);
  addEventListener("pagehide", leave);
  try {
    if (upload.transfer === "relay") await tryServer(api, upload, show);
    else await tryStore(api, place, upload, show);
  } catch (error) {
    show({ title: "The examination", state: "bad", seen: wordsOf(error), fix: "Examine again." });
  } finally {
    removeEventListener("pagehide", leave);
    await discard(api, upload, show);
  }
  return upload.transfer ?? "direct";
}

/**
 * @param {NativeApi} api
 * @param {(check: Check) => void} show
 */
async function serverAnswers(api, show) {
  const title = "The upload server answers";
  let session;
  try {
    session = await api.session({ policy: QUICK });
  } catch (error) {
    const isSilent = error instanceof UploadError && error.status === undefined;
    show({
      title, state: "bad", seen: wordsOf(error), ids: [isSilent ? "server-unreachable" : "server-not-muleteer"],
      fix: isSilent ? "Start the server, or mend the proxy in front of it." : "Have the proxy pass all paths on unchanged.",
    });
    return false;
  }
  if (session.kind === "none") {
    const hasKey = Boolean(api.apiKey());
    show({
      title, state: "bad", seen: hasKey ? "It does not know the API key." : "It lets nobody upload without an API key.",
      ids: hasKey ? ["server-key-refused"] : [],
      fix: "Type in a key of this server above. On the server, muleteer keys create makes one.",
    });
    return false;
  }
  const whom = session.kind === "api-key" ? session.owner ?? "the owner of an API key" : "a visitor";
  show({ title, state: "good", seen: `It takes you for ${whom}.` });
  return true;
}

/**
 * @param {NativeApi} api
 * @param {(check: Check) => void} show
 * @returns {Promise<Begun | undefined>}
 */
async function begin(api, show) {
  const title = "An upload can be begun";
  const order = { filename: FILENAME, size: BYTES.length, content_type: "text/plain", resume: false };
  try {
    const { id, token, transfer } = await api.call("POST", "/uploads", order, { policy: QUICK });
    show({ title, state: "good", seen: `${FILENAME}, ${BYTES.length} bytes in one part.` });
    return { id, token, transfer };
  } catch (error) {
    const fix = "Do what the server says. Where it cannot reach the store itself, run muleteer doctor there.";
    show({ title, state: "bad", seen: wordsOf(error), fix });
    return undefined;
  }
}

/**
 * @param {NativeApi} api
 * @param {Place} place
 * @param {Begun} upload
 * @param {(check: Check) => void} show
 */
async function tryStore(api, place, upload, show) {
  const path = `/uploads/${encodeURIComponent(upload.id)}`;
  const run = { policy: QUICK, token: upload.token };
  const { body, askedAt, serverTime } = await api.callTimed("POST", `${path}/signatures`, { parts: [1] }, run);
  const url = new URL(body.signatures[0].url);

  const address = judgeAddress(url, place);
  show(address);
  if (address.state === "bad") return;

  const forbidden = watchPolicy(url.origin);
  let answer;
  try {
    answer = await ask(url.href, { method: "PUT", body: BYTES });
  } catch {
    const holdsPart = async () => {
      const { parts } = await api.call("GET", path, undefined, run);
      return parts.some((/** @type {{number: number}} */ part) => part.number === 1);
    };
    for (const check of await explainSilence(url, place, forbidden.seen, holdsPart)) show(check);
    return;
  } finally {
    forbidden.stop();
  }
  show({ title: REACHED, state: "good", seen: `${url.origin} answered this browser.` });
  show({ title: MAY_SEND, state: "good", seen: `The store lets pages of ${place.origin} send parts.` });
  const signed = { url, askedAt, serverTime };
  const taken = await judgeAnswer(answer, api, signed);
  show(taken);
  if (taken.state === "bad") return;
  show(judgeClock(answer, api, signed));
  show(judgeEtag(answer, place));
}

/**
 * @param {NativeApi} api
 * @param {Begun} upload
 * @param {(check: Check) => void} show
 */
async function tryServer(api, { id, token }, show) {
  const title = "A part gets through the server";
  const { signal } = new AbortController();
  const run = { token, stallAfter: QUICK.stallAfter, signal, onSent: () => {} };
  try {
    await api.putBytes(`/uploads/${encodeURIComponent(id)}/parts/1/content`, new Blob([BYTES]), run);
    show({ title, state: "good", seen: "The server has stored it." });
  } catch (error) {
    const fix = "Do what the server says. Behind a proxy, muleteer doctor --server tells what that keeps back.";
    show({ title, state: "bad", seen: wordsOf(error), fix });
  }
}

const REACHED = "The store can be reached from here";
const MAY_SEND = "CORS lets this page send parts";

/**
 * @param {URL} url
 * @param {Place} place
 * @returns {Check}
 */
function judgeAddress(url, place) {
  const title = "The store's address suits this page";
  const isLocal = isLoopback(url.hostname);
  if (isLocal && !isLoopback(place.hostname)) {
    return {
      title, state: "bad", ids: ["public-endpoint-loopback"],
      seen: `Parts would go to ${url.origin}, which is the machine of whoever looks at this page.`,
      fix: "Set s3.public_endpoint to the store's address as browsers reach it.",
    };
  }
  // A browser takes its own machine for secure.
  if (place.protocol === "https:" && url.protocol === "http:" && !isLocal) {
    return {
      title, state: "bad", ids: ["public-endpoint-insecure"],
      seen: `This page came by HTTPS, and parts would go to ${url.origin} by HTTP, which browsers block.`,
      fix: "Set s3.public_endpoint to an https:// address of the store.",
    };
  }
  return { title, state: "good", seen: `Parts go to ${url.origin}.` };
}

/**
 * Why nothing came back: what a page is not told is found by asking in other ways.
 *
 * @param {URL} url
 * @param {Place} place
 * @param {() => boolean} isForbidden  whether the page's own policy held the request back
 * @param {() => Promise<boolean>} holdsPart  whether the store has the part all the same
 * @returns {Promise<Check[]>}
 */
async function explainSilence(url, place, isForbidden, holdsPart) {
  const bare = url.origin + url.pathname;
  // Answers to such a request stay hidden, but that there was one does not.
  const isThere = await answers(bare, { method: "HEAD", mode: "no-cors" });
  // The word of the policy comes as an event of its own, after the failure.
  if (!isThere) await new Promise((resolve) => setTimeout(resolve, 100));
  if (isForbidden()) {
    return [{
      title: REACHED, state: "bad",
      seen: `This page's Content-Security-Policy does not let it talk to ${url.origin}.`,
      fix: `We allow the store's address, so a proxy sets a policy of its own: have it add ${url.origin} to connect-src.`,
    }];
  }
  if (!isThere) {
    return [{
      title: REACHED, state: "bad", ids: ["public-endpoint-unreachable"],
      seen: `Nothing answers this browser at ${url.origin}. It does not tell pages whether the name, the port, the `
        + "certificate, a firewall or an extension is why.",
      fix: `Open ${url.origin} in a tab: what stands there is the reason. Mend s3.public_endpoint, the certificate or the `
        + "firewall. Until then our own page sends parts through the server.",
    }];
  }
  /** @type {Check} */
  const reached = { title: REACHED, state: "good", seen: `${url.origin} answered this browser.` };
  const fix = corsFix(place.origin);
  const rule = corsRule(place.origin);
  if (await holdsPart()) {
    return [reached, {
      title: MAY_SEND, state: "bad", ids: ["cors-swallowed"],
      seen: "The part arrived, but the answer had no Access-Control-Allow-Origin, so this page may not see it.",
      fix: "Have the proxy in front of the store pass every Access-Control header unchanged.",
    }];
  }
  // Needs no preflight: what the page may read is what the rules allow to GET.
  if (await answers(bare, { method: "GET" })) {
    return [reached, {
      title: MAY_SEND, state: "bad", ids: ["cors-method"],
      seen: `Pages of ${place.origin} may GET, and the preflight for PUT is refused.`, fix, rule,
    }];
  }
  return [reached, {
    title: MAY_SEND, state: "bad", ids: ["cors-missing", "cors-origin"],
    seen: `The store answers, but refuses the preflight of ${place.origin}: the bucket has no CORS rules, or none for this `
      + "origin. Browsers do not tell pages which; muleteer doctor does.",
    fix, rule,
  }];
}

/**
 * @param {Response} answer
 * @param {NativeApi} api
 * @param {Signed} signed
 * @returns {Promise<Check>}
 */
async function judgeAnswer(answer, api, signed) {
  const title = "The store takes the part";
  if (answer.ok) return { title, state: "good", seen: `Status ${answer.status}: signature, key and length are right.` };
  const text = await answer.text().catch(() => "");
  const [code, message] = [inXml(text, "Code"), inXml(text, "Message")];
  const seen = `Status ${answer.status}${code && `, ${code}`}${message && `: ${message}`}`;
  const isLate = code === "RequestTimeTooSkewed" || (code === "AccessDenied" && /expired/i.test(message));
  if (isLate) {
    const ahead = serverNow(api, signed) - storeTime(answer, Date.parse(inXml(text, "ServerTime")), Date.now());
    const [, fix] = REFUSALS.RequestTimeTooSkewed;
    const whose = answer.headers.has("date") || inXml(text, "ServerTime") ? "the store's" : "this browser's";
    return { title, state: "bad", seen: `${seen} (${skewWords(ahead, whose)})`, ids: ["clock-skew"], fix };
  }
  const [id, fix] = REFUSALS[code] ?? ["store-fails", "See what the store says; muleteer doctor on the server tries it, too."];
  return { title, state: "bad", seen, ids: [id], fix };
}

/**
 * @param {Response} answer
 * @param {NativeApi} api
 * @param {Signed} signed
 * @returns {Check}
 */
function judgeClock(answer, api, signed) {
  const title = "The clocks agree";
  const ahead = serverNow(api, signed) - storeTime(answer, NaN, NaN);
  if (Number.isNaN(ahead)) {
    const seen = "The store does not show its Date to pages. It took the signature, so any difference does no harm now.";
    return { title, state: "unknown", seen };
  }
  const seen = skewWords(ahead, "the store's");
  if (Math.abs(ahead) < NOTICED_SKEW) return { title, state: "good", seen };
  return { title, state: "bad", seen, ids: ["clock-skew"], fix: REFUSALS.RequestTimeTooSkewed[1] };
}

/**
 * @param {Response} answer
 * @param {Place} place
 * @returns {Check}
 */
function judgeEtag(answer, place) {
  const title = "The page can read the part's ETag";
  const etag = answer.headers.get("etag");
  if (etag !== null) return { title, state: "good", seen: etag };
  return {
    title, state: "bad", ids: ["cors-etag-hidden"],
    seen: "The store took the part, and its answer does not expose the ETag to this page, which some front ends need.",
    fix: corsFix(place.origin),
    rule: corsRule(place.origin),
  };
}

/**
 * @param {NativeApi} api
 * @param {Begun} upload
 * @param {(check: Check) => void} show
 */
async function discard(api, upload, show) {
  const title = "Nothing is left behind";
  try {
    await api.discard(upload.id, { policy: QUICK, token: upload.token });
    show({ title, state: "good", seen: "The upload was given up." });
  } catch (error) {
    show({ title, state: "bad", seen: wordsOf(error), fix: "Discard it on the upload page; else the server does in time." });
  }
}

/**
 * The page goes away in the middle: one last request, which outlives it.
 * @param {NativeApi} api
 * @param {Begun} upload
 */
function discardOnTheWayOut(api, upload) {
  const headers = { Authorization: `Bearer ${upload.token}` };
  const address = `${api.url}/uploads/${encodeURIComponent(upload.id)}`;
  fetch(address, { method: "DELETE", headers, keepalive: true }).catch(() => {});
}

/** What all front ends need. @param {string} origin */
function corsRule(origin) {
  return { CORSRules: [{
    ID: "muleteer", AllowedOrigins: [origin], AllowedMethods: ["PUT", "POST", "GET", "DELETE"],
    AllowedHeaders: ["*"], ExposeHeaders: ["ETag", "Location"], MaxAgeSeconds: 3600,
  }] };
}

/** @param {string} origin */
function corsFix(origin) {
  return `On the server: muleteer cors apply, with ${origin} as server.public_url or in cors.allowed_origins. `
    + "Or put this rule among those of the bucket:";
}

/**
 * The upload server's time now, whatever this browser's clock says.
 * @param {NativeApi} api
 * @param {Signed} signed
 */
function serverNow(api, signed) {
  return signed.serverTime + api.env.now() - signed.askedAt;
}

/**
 * The first of those that is known.
 * @param {Response} answer
 * @param {number} told  in the answer's body
 * @param {number} otherwise
 */
function storeTime(answer, told, otherwise) {
  const shown = Date.parse(answer.headers.get("date") ?? "");
  return [shown, told].find((time) => !Number.isNaN(time)) ?? otherwise;
}

/**
 * @param {number} ahead  milliseconds
 * @param {string} whose
 */
function skewWords(ahead, whose) {
  const seconds = Math.round(Math.abs(ahead) / 1000);
  if (seconds <= 1) return `The upload server's clock and ${whose} agree.`;
  const span = seconds < 120 ? `${seconds} s` : `${Math.round(seconds / 60)} min`;
  return `The upload server's clock is ${span} ${ahead > 0 ? "ahead of" : "behind"} ${whose}.`;
}

/** @param {unknown} error */
function wordsOf(error) {
  return error instanceof Error ? error.message : String(error);
}
