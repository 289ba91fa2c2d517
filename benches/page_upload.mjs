// One large file through the upload page: how long it takes, and what our server needs meanwhile.
//
//   cargo build --release && (cd tests/browser && npm ci) && node benches/page_upload.mjs [MIB]
//
// Against the embedded store, and, where S3_ENDPOINT, S3_KEY and S3_SECRET name one, against an outside S3 server:
// only there does the server's memory hold nothing but the server. Linux only (reads /proc).

import { mkdir, mkdtemp, readFile, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join, resolve } from "node:path";
import { fileURLToPath } from "node:url";

const project = resolve(fileURLToPath(import.meta.url), "../..");
process.env.MULETEER_TEST_PROGRAM ||= join(project, "target/release/muleteer");
const { makeFile } = await import("../tests/browser/support/files.mjs");
const { Browser } = await import("../tests/browser/support/page.mjs");
const { S3 } = await import("../tests/browser/support/s3.mjs");
const { Server } = await import("../tests/browser/support/server.mjs");

const size = Number(process.argv[2] ?? 1024) * 2 ** 20;
const { S3_ENDPOINT, S3_KEY, S3_SECRET } = process.env;

/** CPU seconds and peak resident MiB of a process so far. */
async function usage(pid) {
  const stat = await readFile(`/proc/${pid}/stat`, "utf8");
  const fields = stat.slice(stat.lastIndexOf(")") + 2).split(" ");
  const status = await readFile(`/proc/${pid}/status`, "utf8");
  const peak = Number(/VmHWM:\s+(\d+)/.exec(status)?.[1]) / 1024;
  return { cpu: (Number(fields[11]) + Number(fields[12])) / 100, peak };
}

async function measure(name, settings) {
  const folder = await mkdtemp(join(tmpdir(), "muleteer-bench-"));
  await mkdir(join(folder, "data"));
  const server = await Server.start(join(folder, "data"), settings);
  const browser = await Browser.open(join(folder, "profile"));
  try {
    const file = await makeFile(folder, "large.bin", size, 1);
    const page = await browser.visit(server.url);
    const before = await usage(server.process.pid);
    const began = performance.now();
    await page.choose(file);
    await page.reach(file.name, "complete", 600_000);
    const seconds = (performance.now() - began) / 1000;
    const after = await usage(server.process.pid);
    const rate = (size / 1e6 / seconds).toFixed(0);
    console.log(
      `${name}: ${size / 2 ** 20} MiB in ${seconds.toFixed(1)} s (${rate} MB/s), server ` +
        `${(after.cpu - before.cpu).toFixed(2)} CPU s, peak ${after.peak.toFixed(0)} MiB resident ` +
        `(${before.peak.toFixed(0)} before)`,
    );
  } finally {
    await browser.close();
    await server.stop();
    await rm(folder, { recursive: true, force: true });
  }
}

await measure("embedded store", {});
if (S3_ENDPOINT) {
  const bucket = `muleteer-bench-${process.pid}`;
  await new S3({ endpoint: S3_ENDPOINT, accessKey: S3_KEY, secret: S3_SECRET, bucket }).createOpenBucket(bucket);
  await measure("outside S3 server", {
    MULETEER_S3__BUCKET: bucket,
    MULETEER_S3__ENDPOINT: S3_ENDPOINT,
    MULETEER_S3__ACCESS_KEY_ID: S3_KEY,
    MULETEER_S3__SECRET_ACCESS_KEY: S3_SECRET,
  });
}
