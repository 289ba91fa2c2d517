// Point 6 of the proof: nobody gets at another's upload, a part of another length is refused by the store itself,
// and mistakes in requests are answered with a problem that names the field.

import assert from "node:assert/strict";
import { test } from "node:test";
import { MIB, startStack, STORES } from "./support/stack.mjs";

const PROBLEM = /^application\/problem\+json/;

async function twoOwners(t, options = {}) {
  const stack = await startStack(t, { ...options, settings: { MULETEER_AUTH__ANONYMOUS: "off", ...options.settings } });
  return { stack, alice: await stack.server.createKey("alice"), bob: await stack.server.createKey("bob") };
}

const wanted = (size) => ({ filename: "film.mp4", size, content_type: "video/mp4", fingerprint: "abc" });

test("the wrong owner gets 404 for every verb, and the upload stays as it was", async (t) => {
  const { stack, alice, bob } = await twoOwners(t);
  const { body: upload } = await stack.api("/uploads", { method: "POST", key: alice, body: wanted(3 * MIB) });
  const { body: bobs } = await stack.api("/uploads", { method: "POST", key: bob, body: wanted(3 * MIB) });
  assert.notEqual(bobs.id, upload.id, "a resume look-up stays within one owner");
  const verbs = [
    ["GET", ""],
    ["POST", "/signatures", { parts: "1-3" }],
    ["PUT", "/parts/1", { size: MIB }],
    ["POST", "/parts", { parts: [{ number: 1, size: MIB }] }],
    ["POST", "/complete"],
    ["DELETE", ""],
  ];

  for (const credentials of [{ key: bob }, { token: bobs.token }]) {
    for (const [method, path, body] of verbs) {
      const answer = await stack.api(`/uploads/${upload.id}${path}`, { method, body, ...credentials });
      assert.equal(answer.status, 404, `${method} ${path} with bob's ${Object.keys(credentials)}`);
      assert.match(answer.type, PROBLEM);
      assert.ok(!JSON.stringify(answer.body).includes(upload.key), "the answer tells nothing of the upload");
    }
  }
  for (const [method, path, body] of verbs) {
    const answer = await stack.api(`/uploads/${upload.id}${path}`, { method, body });
    assert.equal(answer.status, 401, `${method} ${path} without any credential`);
  }
  const after = await stack.api(`/uploads/${upload.id}`, { key: alice });
  assert.equal(after.body.state, "open");
  assert.deepEqual(after.body.parts, []);
  const { body: list } = await stack.api("/uploads", { key: bob });
  assert.deepEqual(list.uploads.map(({ id }) => id), [bobs.id], "a list shows one's own uploads only");
});

for (const store of STORES) {
  test(`the store refuses a part of another length, another number and another upload, ${store.name}`, async (t) => {
    const { stack, alice } = await twoOwners(t, { store });
    const size = 3 * store.partSize;
    const { body: upload } = await stack.api("/uploads", { method: "POST", key: alice, body: wanted(size) });
    const { body } = await stack.api(`/uploads/${upload.id}/signatures`, {
      method: "POST", token: upload.token, body: { parts: [1] },
    });
    const [{ url }] = body.signatures;
    const put = async (address, length) => (await fetch(address, { method: "PUT", body: new Uint8Array(length) })).status;

    const refused = {
      "a byte less": await put(url, store.partSize - 1),
      "a byte more": await put(url, store.partSize + 1),
      "nothing": await put(url, 0),
      "another part": await put(url.replace("partNumber=1", "partNumber=2"), store.partSize),
      "another key": await put(url.replace("film.mp4", "film.mp5"), store.partSize),
    };

    for (const [what, status] of Object.entries(refused)) {
      assert.ok(status >= 400 && status < 500, `${what}: ${status}`);
    }
    assert.equal(await put(url, store.partSize), 200);
    const { body: after } = await stack.api(`/uploads/${upload.id}`, { key: alice });
    assert.deepEqual(after.parts.map((part) => [part.number, part.size]), [[1, store.partSize]]);
  });

  test(`completing too early names what is missing, ${store.name}`, async (t) => {
    const { stack, alice } = await twoOwners(t, { store });
    const { body: upload } = await stack.api("/uploads", {
      method: "POST", key: alice, body: wanted(3 * store.partSize),
    });

    const answer = await stack.api(`/uploads/${upload.id}/complete`, { method: "POST", key: alice });

    assert.equal(answer.status, 409);
    assert.match(answer.type, PROBLEM);
    assert.deepEqual(answer.body.defects.map(({ problem, number }) => [problem, number]), [1, 2, 3].map((n) => ["missing", n]));
    assert.equal((await stack.api(`/uploads/${upload.id}`, { key: alice })).body.state, "open");
  });
}

/** The twelve likeliest mistakes: what is sent where, the status, and the field that the answer must name. */
const MISTAKES = [
  ["no file name", "", { size: 1 }, 400, "filename"],
  ["an empty file name", "", { filename: "", size: 1 }, 400, "filename"],
  ["no size", "", { filename: "a" }, 400, "size"],
  ["a negative size", "", { filename: "a", size: -1 }, 400, "size"],
  ["a size in words", "", { filename: "a", size: "large" }, 400, "size"],
  ["a misspelt member", "", { filename: "a", size: 1, contenttype: "text/plain" }, 400, "contenttype"],
  ["a type that is none", "", { filename: "a", size: 1, content_type: "video" }, 400, "content_type"],
  ["parts that are too small", "", { filename: "a", size: 1, part_size: 10 }, 400, "part_size"],
  ["part number 0", "/signatures", { parts: [0] }, 400, "parts"],
  ["a part that the upload does not have", "/signatures", { parts: [4] }, 400, "parts"],
  ["a range that runs backwards", "/signatures", { parts: "3-1" }, 400, "parts"],
  ["a part of another size", "/parts", { parts: [{ number: 1, size: 5 }] }, 400, "size"],
];

test("the twelve likeliest mistakes are answered with a problem that names the field", async (t) => {
  const { stack, alice } = await twoOwners(t);
  const { body: upload } = await stack.api("/uploads", { method: "POST", key: alice, body: wanted(3 * MIB) });
  assert.equal(MISTAKES.length, 12);

  for (const [what, path, body, status, field] of MISTAKES) {
    const address = path ? `/uploads/${upload.id}${path}` : "/uploads";
    const answer = await stack.api(address, { method: "POST", key: alice, body });

    assert.ok([status, 422].includes(answer.status), `${what}: ${answer.status} ${JSON.stringify(answer.body)}`);
    assert.match(answer.type, PROBLEM, what);
    const fields = (answer.body.errors ?? []).map((error) => error.field);
    assert.ok(fields.some((named) => named.includes(field)), `${what}: ${JSON.stringify(answer.body)}`);
    assert.ok(answer.body.request_id, `${what}: the request can be found in the log`);
  }
});

test("a body that is no JSON, an unknown upload and an unknown address are problems, too", async (t) => {
  const { stack, alice } = await twoOwners(t);
  const unknown = "01890000-0000-7000-8000-000000000000";
  const answers = {
    "no JSON": [await stack.api("/uploads", { method: "POST", key: alice, body: "{" }), 400],
    "unknown upload": [await stack.api(`/uploads/${unknown}`, { key: alice }), 404],
    "an id that is none": [await stack.api("/uploads/1", { key: alice }), 404],
    "a wrong key": [await stack.api("/uploads", { key: "not-a-key-of-anybody" }), 401],
    "an address that knows no such verb": [await stack.api("/uploads", { method: "PATCH", key: alice }), 405],
    "no such address": [await stack.api("/nothing", { key: alice }), 404],
  };

  for (const [what, [answer, status]] of Object.entries(answers)) {
    assert.equal(answer.status, status, `${what}: ${JSON.stringify(answer.body)}`);
    assert.match(answer.type, PROBLEM, what);
  }
});
