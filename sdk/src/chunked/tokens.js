/**
 * The tokens of one upload's parts. Tokens expire while a long upload waits or retries; here is remembered which are
 * good, and new ones are fetched by one request however many workers were refused at the same time.
 */

/** The tokens of one upload. */
export class Tokens {
  #known;
  #fetch;
  /** @type {Promise<Map<number, string>> | undefined} one renewal serves all who need it */
  #renewal;

  /**
   * @param {Map<number, string>} known  by part number
   * @param {() => Promise<Map<number, string>>} fetch  asks the server for fresh ones
   */
  constructor(known, fetch) {
    this.#known = new Map(known);
    this.#fetch = fetch;
  }

  /**
   * @param {number} part
   * @returns {string}  empty where nobody ever gave us one, which the server refuses as it refuses any wrong token
   */
  of(part) {
    return this.#known.get(part) ?? "";
  }

  /**
   * Replaces a token that the server refused.
   * @param {number} part
   * @param {string} refused
   * @returns {Promise<boolean>} whether there is another one now
   */
  async renew(part, refused) {
    if (this.of(part) === refused) {
      this.#renewal ??= this.#fetch().finally(() => {
        this.#renewal = undefined;
      });
      for (const [number, token] of await this.#renewal) this.#known.set(number, token);
    }
    return this.of(part) !== refused;
  }
}

/**
 * The tokens that an answer carries: that of `init` always, that of `status` from servers that hand them out again.
 * @param {{part: number, token?: string}[]} parts
 * @returns {Map<number, string>} by part number
 */
export function tokensIn(parts) {
  /** @type {Map<number, string>} */
  const tokens = new Map();
  for (const { part, token } of parts) if (token) tokens.set(part, token);
  return tokens;
}
