// How fast the kit's worker makes checksums of a file on disk, in a real Chromium.
//
//   (cd tests/browser && npm ci) && node benches/checksums.mjs [MIB]
//
// Each figure is the best of five rounds over parts of 16 MiB, as an upload asks for them: one after the other, reading
// included. The page is asked meanwhile how long it was kept from doing anything else.

import { createServer } from "node:http";
import { mkdtemp, readFile, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join, normalize, resolve } from "node:path";
import { fileURLToPath } from "node:url";

const project = resolve(fileURLToPath(import.meta.url), "../..");
const { makeFile } = await import("../tests/browser/support/files.mjs");
const { Browser } = await import("../tests/browser/support/page.mjs");

const size = Number(process.argv[2] ?? 256) * 2 ** 20;

const PAGE = `<!doctype html><input type="file"><script type="module">
  import { Summer } from "/checksums/summer.js";
  globalThis.measure = async (algorithms, apart) => {
    const [file] = document.querySelector("input").files;
    const summer = new Summer({ Worker: apart ? Worker : undefined });
    let [last, longest] = [performance.now(), 0];
    const beat = setInterval(() => {
      longest = Math.max(longest, performance.now() - last);
      last = performance.now();
    }, 1);
    const began = performance.now();
    for (let at = 0; at < file.size; at += 2 ** 24) await summer.sums(file.slice(at, at + 2 ** 24), algorithms);
    const seconds = (performance.now() - began) / 1000;
    clearInterval(beat);
    return { rate: file.size / 1e6 / seconds, longest, isApart: summer.isApart };
  };
  document.title = "ready";
</script>`;

const server = createServer(async (request, response) => {
  if (request.url === "/") return response.writeHead(200, { "content-type": "text/html" }).end(PAGE);
  const path = normalize(request.url);
  const source = await readFile(join(project, "sdk/src", path)).catch(() => null);
  response.writeHead(source ? 200 : 404, { "content-type": "text/javascript" }).end(source ?? "");
});
await new Promise((listening) => server.listen(0, "127.0.0.1", listening));
const folder = await mkdtemp(join(tmpdir(), "muleteer-bench-"));
const browser = await Browser.open(join(folder, "profile"));
try {
  const file = await makeFile(folder, "large.bin", size, 1);
  const { page } = await browser.visit(`http://127.0.0.1:${server.address().port}/`);
  await page.waitForFunction(() => document.title === "ready");
  await page.setInputFiles("input", file.path);
  for (const algorithms of [["crc64nvme"], ["crc32c"], ["md5"], ["md5", "crc64nvme"]]) {
    for (const apart of [true, false]) {
      const rounds = [];
      for (let round = 0; round < 5; round += 1) {
        rounds.push(await page.evaluate(([names, isApart]) => globalThis.measure(names, isApart), [algorithms, apart]));
      }
      if (rounds[0].isApart !== apart) throw new Error("it was made on the other thread");
      const rate = Math.max(...rounds.map((round) => round.rate)).toFixed(0);
      const longest = Math.min(...rounds.map((round) => round.longest)).toFixed(0);
      const where = apart ? "worker" : "page's own thread";
      console.log(`${algorithms.join(" + ")}, ${where}: ${rate} MB/s, page held up for at most ${longest} ms`);
    }
  }
} finally {
  await browser.close();
  server.close();
  await rm(folder, { recursive: true, force: true });
}
