// Random numbers that can be had again: every test names its seed, so that a failure can be repeated.

/**
 * A generator of numbers in [0, 1): mulberry32, small and good enough to choose moments and faults.
 * @param {number} seed
 */
export function seeded(seed) {
  let state = seed >>> 0;
  const next = () => {
    state = (state + 0x6d2b79f5) >>> 0;
    let mixed = Math.imul(state ^ (state >>> 15), state | 1);
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61);
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32;
  };
  return {
    next,
    /** A number in [low, high). */
    between: (low, high) => low + next() * (high - low),
    /** True in `share` of all calls. */
    chance: (share) => next() < share,
    /** One of the values. */
    pick: (values) => values[Math.floor(next() * values.length)],
  };
}
