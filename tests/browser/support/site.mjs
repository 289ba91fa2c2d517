// Another site than the product's, as the pages of an operator's own application are.

import { createServer } from "node:http";

/**
 * Serves an empty page with a file input until the test ends.
 * @param {import("node:test").TestContext} test
 * @param {Record<string, string>} [files] text of further files by their path: scripts, and pages that end in `.html`
 * @param {string} [head] what the page's head has besides
 * @returns {Promise<string>} the site's origin
 */
export async function startSite(test, files = {}, head = "") {
  const server = createServer((request, answer) => {
    const file = files[request.url];
    const isPage = file === undefined || request.url.endsWith(".html");
    answer.setHeader("content-type", `text/${isPage ? "html" : "javascript"}; charset=utf-8`);
    answer.end(file ?? `<!doctype html><title>another site</title>${head}<input type=file>`);
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
