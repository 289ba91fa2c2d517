/**
 * Sends the missing parts of one upload with several workers and tells the application about each. Whether the file is
 * finished afterwards, and what the application gets to hear in the end, `uploader.js` decides.
 */

import { asError, ChunkedUploaderError, mayPass, throwIfStopped } from "./errors.js";
import { tryAgain } from "./tries.js";

/**
 * @typedef {import("./api.js").ChunkedApi} ChunkedApi
 * @typedef {import("./source.js").Source} Source
 * @typedef {import("./tokens.js").Tokens} Tokens
 * @typedef {import("./tries.js").Tries} Tries
 * @typedef {import("./types.js").TransferOptions} TransferOptions
 * @typedef {import("./types.js").UploadPartResponse} UploadPartResponse
 *
 * @typedef {object} Transfer
 * @property {ChunkedApi} api
 * @property {string} id
 * @property {Source} source
 * @property {number} chunkSize  bytes of every part but the last
 * @property {number} totalParts
 * @property {number[]} missing  numbers of the parts to send, in this order
 * @property {Tokens} tokens
 * @property {number} concurrency
 * @property {Tries} tries
 * @property {TransferOptions} hooks
 *
 * @typedef {{part: number, error: Error}} Failure
 */

/**
 * Resolves when every missing part has arrived. A part that used up its tries does not keep the others from being
 * sent: what arrives now need not be sent by a resume. A refusal does, since the others would be refused as well.
 *
 * @param {Transfer} transfer
 * @throws {ChunkedUploaderError} naming the parts that failed, with the first one's status and code
 */
export async function sendParts(transfer) {
  const { missing, totalParts, tries } = transfer;
  const waiting = [...missing];
  const arrived = { count: totalParts - missing.length };
  /** @type {Failure[]} */
  const failures = [];
  /** @type {unknown[]} */
  const aborts = [];
  let isRefused = false;

  const work = async () => {
    while (!isRefused && !tries.signal.aborted) {
      const part = waiting.shift();
      if (part === undefined) return;
      try {
        await sendPart(transfer, part, arrived);
      } catch (thrown) {
        if (tries.signal.aborted) return void aborts.push(thrown);
        failures.push({ part, error: asError(thrown) });
        isRefused ||= !mayPass(thrown);
      }
    }
  };
  const workers = Math.min(missing.length, Math.max(1, Math.floor(transfer.concurrency) || 1));
  await Promise.all(Array.from({ length: workers }, work));
  if (aborts.length > 0) throw aborts[0];
  throwIfStopped(tries.signal);
  if (failures.length > 0) throw summary(failures);
}

/**
 * @param {Transfer} transfer
 * @param {number} part
 * @param {{count: number}} arrived  parts that the server holds
 */
async function sendPart(transfer, part, arrived) {
  const { id, source, chunkSize, totalParts, hooks, tries } = transfer;
  const start = part * chunkSize;
  const end = Math.min(start + chunkSize, source.size);
  const body = source.cut(start, end);
  /** @type {Tries["onFailure"]} */
  const onFailure = (error, attempt) => notify(hooks.onPartError, part, error, attempt);
  try {
    const send = withFreshToken(transfer, part, body);
    const response = await tryAgain(send, { ...tries, onFailure });
    arrived.count += 1;
    notify(hooks.onPartComplete, { partNumber: part, success: true, response });
    notify(hooks.onProgress, {
      fileId: id,
      currentPart: part,
      totalParts,
      uploadedParts: arrived.count,
      bytesUploaded: end - start,
      bytesTotal: end - start,
      overallProgress: (arrived.count / totalParts) * 100,
    });
  } catch (thrown) {
    if (!tries.signal.aborted) {
      notify(hooks.onPartComplete, { partNumber: part, success: false, error: asError(thrown) });
    }
    throw thrown;
  }
}

/**
 * One try of a part, which a refused token does not end: it is replaced, once for each part.
 *
 * @param {Transfer} transfer
 * @param {number} part
 * @param {BodyInit} body
 * @returns {() => Promise<UploadPartResponse>}
 */
function withFreshToken({ api, id, tokens, tries }, part, body) {
  let isRenewed = false;
  const send = async () => {
    const token = tokens.of(part);
    try {
      return await api.part(id, part, token, body, tries.signal);
    } catch (thrown) {
      const isRefused = thrown instanceof ChunkedUploaderError && thrown.statusCode === 401;
      if (!isRefused || isRenewed) throw thrown;
      isRenewed = true;
      const hasAnother = await renewed(tokens, part, token, thrown);
      throwIfStopped(tries.signal);
      if (!hasAnother) throw thrown;
      return send();
    }
  };
  return send;
}

/**
 * @param {Tokens} tokens
 * @param {number} part
 * @param {string} token
 * @param {ChunkedUploaderError} refusal  what is told when the server does not hand out new tokens either
 * @returns {Promise<boolean>}
 */
async function renewed(tokens, part, token, refusal) {
  try {
    return await tokens.renew(part, token);
  } catch (thrown) {
    refusal.cause ??= thrown;
    return false;
  }
}

/**
 * @param {Failure[]} failures
 */
function summary(failures) {
  const { error } = failures[0];
  const numbers = failures.map(({ part }) => part).sort((a, b) => a - b).join(", ");
  const which = failures.length === 1 ? `Part ${numbers} was` : `Parts ${numbers} were`;
  const known = error instanceof ChunkedUploaderError ? error : undefined;
  return new ChunkedUploaderError(
    `${which} not uploaded: ${error.message}`, known?.statusCode, known?.code, known?.details,
    { cause: error, retryAfter: known?.retryAfter },
  );
}

/**
 * An application's own mistake in a callback is reported to the console and never costs a part.
 *
 * @template {unknown[]} News
 * @param {((...news: News) => void) | undefined} listener
 * @param {News} news
 */
export function notify(listener, ...news) {
  try {
    listener?.(...news);
  } catch (error) {
    console.error(error);
  }
}
