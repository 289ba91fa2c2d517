// Another site than the product's, as the pages of an operator's own application are.

import { createServer } from "node:http";

/**
 * Serves an empty page with a file input until the test ends.
 * @param {import("node:test").TestContext} test
 * @returns {Promise<string>} the site's origin
 */
export async function startSite(test) {
  const server = createServer((_, answer) => {
    answer.setHeader("content-type", "text/html");
    answer.end("<!doctype html><title>another site</title><input type=file>");
  });
  await new Promise((resolve) => server.listen(0, "127.0.0.1", resolve));
  test.after(() => {
    // The browser keeps connections open, and a plain close would wait for them.
    server.closeAllConnections();
    return new Promise((resolve) => server.close(resolve));
  });
  // Another host name than the product's is another site to the browser.
  return `http://localhost:${server.address().port}`;
}
