/**
 * Calls about one upload, in the name of its own token: apart from the API's own calls, because only these know what
 * to do when the token has expired.
 */

import { UploadError } from "../../errors.js";

/**
 * @typedef {import("./api.js").NativeApi} NativeApi
 * @typedef {import("./signatures.js").Run} Run
 * @typedef {{id: string, private: {token?: string}}} Named  a session, as far as it matters here
 */

/**
 * The address of an upload below the API's own.
 * @param {Named} session
 */
export function pathOf(session) {
  return `/uploads/${encodeURIComponent(session.id)}`;
}

/**
 * A call with JSON both ways.
 * @param {NativeApi} api
 * @param {Named} session
 * @param {string} method
 * @param {string} path  below the upload's address
 * @param {unknown} body
 * @param {Run} run
 * @returns {Promise<any>}
 */
export async function callAs(api, session, method, path, body, run) {
  return (await timedCallAs(api, session, method, path, body, run)).body;
}

/**
 * As {@link callAs}, with the moment of the call.
 * @param {NativeApi} api
 * @param {Named} session
 * @param {string} method
 * @param {string} path
 * @param {unknown} body
 * @param {Run} run
 */
export function timedCallAs(api, session, method, path, body, run) {
  return withToken(api, session, run, (token) =>
    api.callTimed(method, pathOf(session) + path, body, { ...run, token }));
}

/**
 * Runs `attempt` with the upload's token. One that has expired is replaced once, in the name of whoever began the
 * upload.
 *
 * @template T
 * @param {NativeApi} api
 * @param {Named} session
 * @param {Run} run
 * @param {(token: string | undefined) => Promise<T>} attempt
 * @returns {Promise<T>}
 */
export async function withToken(api, session, run, attempt) {
  const { token } = session.private;
  try {
    return await attempt(token);
  } catch (error) {
    if (!token || !(error instanceof UploadError) || error.status !== 401) throw error;
    const found = await api.call("GET", pathOf(session), undefined, run);
    session.private.token = found.token;
    return attempt(found.token);
  }
}
