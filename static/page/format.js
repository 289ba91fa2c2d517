/**
 * Numbers as people read them. Pure, so that every row says the same thing in the same way.
 */

const UNITS = ["kB", "MB", "GB", "TB"];

/**
 * @param {number} count
 * @returns {string} "0 bytes", "812 bytes", "6.3 MB", "1.24 GB"
 */
export function bytes(count) {
  if (count < 1000) return `${count} ${count === 1 ? "byte" : "bytes"}`;
  let value = count;
  let unit = -1;
  do {
    value /= 1000;
    unit += 1;
  } while (value >= 999.5 && unit < UNITS.length - 1);
  const digits = value < 10 ? 2 : value < 100 ? 1 : 0;
  return `${Number(value.toFixed(digits))} ${UNITS[unit]}`;
}

/**
 * A name for the eyes and for screen readers: what turns the direction of writing is spelt out, as with it
 * "invoice-\u202efdp.exe" reads as if it ended in ".pdf".
 * @param {string} text
 * @returns {string} "invoice-[U+202E]fdp.exe"
 */
export function name(text) {
  return text.replace(/[\u061c\u200e\u200f\u202a-\u202e\u2066-\u2069]/gu, (turn) => {
    const code = turn.charCodeAt(0).toString(16).toUpperCase().padStart(4, "0");
    return `[U+${code}]`;
  });
}

/** @param {number} perSecond */
export function speed(perSecond) {
  return `${bytes(Math.round(perSecond))}/s`;
}

/**
 * @param {number} seconds
 * @returns {string} "a few seconds left", "2 min 10 s left", "3 h 5 min left"
 */
export function timeLeft(seconds) {
  if (seconds < 5) return "a few seconds left";
  if (seconds < 60) return `${Math.round(seconds)} s left`;
  if (seconds < 600) return `${Math.floor(seconds / 60)} min ${Math.floor(seconds % 60 / 10) * 10} s left`;
  if (seconds < 3600) return `${Math.round(seconds / 60)} min left`;
  if (seconds < 48 * 3600) return `${Math.floor(seconds / 3600)} h ${Math.round(seconds % 3600 / 60)} min left`;
  return `${Math.round(seconds / 86_400)} days left`;
}

/**
 * A share in whole percent that says 100 only when everything is there.
 * @param {number} part
 * @param {number} whole
 */
export function percent(part, whole) {
  return whole === 0 ? 0 : Math.floor((part / whole) * 100);
}

/** @param {number} n */
export function count(n) {
  return n.toLocaleString("en");
}

/**
 * @param {string} time  RFC 3339
 * @returns {string} "5 May, 10:00"
 */
export function moment(time) {
  const date = new Date(time);
  if (Number.isNaN(date.getTime())) return "";
  return date.toLocaleString("en-GB", { day: "numeric", month: "short", hour: "2-digit", minute: "2-digit" });
}
