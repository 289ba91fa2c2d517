// Uppy's S3 plugin in every generation, as docs/front-ends/uppy.md sets it up: the code blocks of the guide, bundled with
// the unmodified packages of one generation each.

import assert from "node:assert/strict";
import { readFile } from "node:fs/promises";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { build } from "esbuild";

const HERE = fileURLToPath(new URL("..", import.meta.url));

/** A generation: which block of the guide it takes, by what stands in it, and the packages that it is made of. */
export const GENERATIONS = {
  6: { block: "companionEndpoint: address", alias: { "@uppy/core": "@uppy/core", "@uppy/aws-s3": "uppy-aws-s3-6" } },
  "6-signing": {
    block: "signRequest(wanted)", alias: { "@uppy/core": "@uppy/core", "@uppy/aws-s3": "uppy-aws-s3-6" },
  },
  "6-lent": {
    block: "async getCredentials()", alias: { "@uppy/core": "@uppy/core", "@uppy/aws-s3": "uppy-aws-s3-6" },
  },
  "5-lent": {
    block: "getTemporarySecurityCredentials: true",
    alias: { "@uppy/core": "uppy-core-5", "@uppy/aws-s3": "uppy-aws-s3-5" },
  },
  "4-lent": {
    block: "getTemporarySecurityCredentials: true",
    alias: { "@uppy/core": "uppy-core-4", "@uppy/aws-s3": "uppy-aws-s3-4" },
  },
  5: { block: "endpoint: address, // of versions 4 and 5", alias: { "@uppy/core": "uppy-core-5", "@uppy/aws-s3": "uppy-aws-s3-5" } },
  4: { block: "endpoint: address, // of versions 4 and 5", alias: { "@uppy/core": "uppy-core-4", "@uppy/aws-s3": "uppy-aws-s3-4" } },
  3: { block: "companionUrl: address", alias: { "@uppy/core": "uppy-core-3", "@uppy/aws-s3-multipart": "uppy-aws-s3-3" } },
  2: { block: "companionUrl: address", alias: { "@uppy/core": "uppy-core-2", "@uppy/aws-s3-multipart": "uppy-aws-s3-2" } },
};

const RETRIEVERS = { 6: "uppy-golden-retriever-6", 5: "uppy-golden-retriever-5" };

let blocks;

/** The one JavaScript block of the guide with this in it. */
async function printed(text) {
  blocks ??= readFile(join(HERE, "../../docs/front-ends/uppy.md"), "utf8").then((guide) =>
    [...guide.matchAll(/^```js\n([^]*?)^```$/gm)].map((match) => match[1]));
  // "endpoint: address" is also the end of another option's name, and what follows it tells the block of credentials apart.
  const found = (await blocks).filter((block) => new RegExp(`(^|\\s)${text.replace(/[()]/g, "\\$&")}`, "m").test(block));
  assert.equal(found.length, 1, `one block with ${text}`);
  return found[0];
}

/** A script for a page that finds the guide's functions in `guide`, with what the generation needs besides. */
export async function bundledUppy(name) {
  const { block, alias } = GENERATIONS[name];
  const retriever = RETRIEVERS[name];
  const own = { name: "the guide", setup: (guide) => {
    guide.onResolve({ filter: /^guide:/ }, ({ path }) => ({ path: path.slice(6), namespace: "guide" }));
    guide.onLoad({ filter: /.*/, namespace: "guide" }, async ({ path }) => ({
      contents: await printed({ memory: "export function remembering", tildes: "export function signTildesPlainly" }[path] ?? block), resolveDir: HERE, loader: "js",
    }));
  } };
  const { outputFiles } = await build({
    stdin: {
      contents: ["uppy", retriever && "memory", name.endsWith("-lent") && "tildes"].filter(Boolean)
        .map((part) => `export * from "guide:${part}";`).join(" "),
      resolveDir: HERE,
    },
    alias: { ...alias, ...(retriever && { "@uppy/golden-retriever": retriever }) },
    plugins: [own], bundle: true, write: false, format: "iife", globalName: "guide", platform: "browser",
    define: { "process.env.NODE_ENV": '"production"', global: "globalThis" }, logLevel: "error",
  });
  return outputFiles[0].text;
}
