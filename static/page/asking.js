/**
 * How the doctor's page asks the store, and reads what it answers: apart from what the answers mean.
 */

/** Milliseconds. */
const STORE_PATIENCE = 15_000;

/**
 * One request that carries nothing of the person's.
 * @param {string} url
 * @param {RequestInit} how
 */
export function ask(url, how) {
  const signal = AbortSignal.timeout(STORE_PATIENCE);
  return fetch(url, { cache: "no-store", credentials: "omit", signal, ...how });
}

/**
 * Whether anything comes back that the page may know of.
 * @param {string} url
 * @param {RequestInit} how
 */
export async function answers(url, how) {
  try {
    await ask(url, how);
    return true;
  } catch {
    return false;
  }
}

/**
 * Whether the page's own policy holds requests to an origin back: to `fetch` that looks like any other failure.
 * @param {string} origin
 */
export function watchPolicy(origin) {
  let isForbidden = false;
  /** @param {SecurityPolicyViolationEvent} event */
  const listen = (event) => {
    isForbidden ||= event.blockedURI.startsWith(origin);
  };
  document.addEventListener("securitypolicyviolation", listen);
  return { seen: () => isForbidden, stop: () => document.removeEventListener("securitypolicyviolation", listen) };
}

/** @param {string} hostname */
export function isLoopback(hostname) {
  return hostname === "[::1]" || /^(127(\.\d+){3}|(.+\.)?localhost)$/.test(hostname);
}

/**
 * An element's text; "" where there is none, or no XML.
 * @param {string} text
 * @param {string} name
 */
export function inXml(text, name) {
  const document = new DOMParser().parseFromString(text, "application/xml");
  return document.querySelector(name)?.textContent?.trim() ?? "";
}
