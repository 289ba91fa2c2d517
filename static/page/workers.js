/**
 * The setting of how many parts travel at once; remembered in this browser, since it belongs to its line.
 */

/** @typedef {import("../sdk/index.js").Pool} Pool */

const SHELF = "muleteer.workers";

/**
 * @param {HTMLInputElement} input
 * @param {Pool} pool
 */
export function keepWorkers(input, pool) {
  const stored = read();
  if (stored) pool.limit = stored;
  input.value = String(pool.limit);
  input.addEventListener("input", () => {
    if (input.value === "") return; // about to type another number
    pool.limit = input.valueAsNumber;
    write(pool.limit);
  });
  input.addEventListener("change", () => {
    input.value = String(pool.limit);
  });
}

function read() {
  try {
    return Number(localStorage.getItem(SHELF));
  } catch {
    return 0;
  }
}

/** @param {number} workers */
function write(workers) {
  try {
    localStorage.setItem(SHELF, String(workers));
  } catch {
    // a setting that lasts as long as the page
  }
}
