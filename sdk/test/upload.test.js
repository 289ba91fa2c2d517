import assert from "node:assert/strict";
import { test } from "node:test";
import { Memory, Pool, Upload } from "../src/index.js";
import { until } from "./support/environment.js";
import { bytesOf, file, scene } from "./support/scene.js";

/** Holds parts until so many are under way at once, and then a little longer, so that one too many would be seen. */
function gather(backend, count) {
  backend.onPart = async () => {
    await until(() => backend.mostPartsAtOnce >= count, `${count} parts at once`);
    await new Promise((resolve) => setTimeout(resolve, 30));
  };
}

test("a file arrives byte for byte, with no more parts at once than workers", async (t) => {
  const { backend, upload } = await scene(t);
  gather(backend, 4);
  const film = upload(12_345);

  const result = await film.start().finished();

  assert.equal(film.state, "complete");
  assert.deepEqual(backend.bytes(result.id), await bytesOf(film.file));
  assert.equal(backend.mostPartsAtOnce, 4);
  assert.equal(result.location, "https://bucket.example/film.mp4");
  assert.deepEqual(film.progress, { size: 12_345, acknowledged: 12_345, inFlight: 0, partsDone: 13, partCount: 13 });
});

for (const [size, parts] of [[0, 0], [1, 1], [999, 1], [1000, 1], [1001, 2], [3000, 3]]) {
  test(`a file of ${size} bytes makes ${parts} parts of 1000 bytes and ends whole`, async (t) => {
    const { backend, upload } = await scene(t);
    const film = upload(size);

    const { id } = await film.start().finished();

    assert.equal(backend.acknowledged.length, parts);
    assert.deepEqual(backend.bytes(id), await bytesOf(film.file));
    assert.equal(backend.count(/signatures/) === 0, parts === 0);
  });
}

test("the number of workers is kept between 1 and 16", async (t) => {
  for (const [asked, given] of [[0, 1], [1, 1], [16, 16], [99, 16], [2.9, 2]]) {
    const { backend, upload } = await scene(t);
    gather(backend, given);
    await upload(given * 2000, { workers: asked }).start().finished();
    assert.equal(backend.mostPartsAtOnce, given);
  }
});

test("what is known of the file is told to the server", async (t) => {
  const { backend, upload } = await scene(t);

  const { id } = await upload(10, { metadata: { album: "Alps" }, partSize: 500 }).start().finished();

  const { asked } = backend.uploads.get(id);
  assert.equal(asked.filename, "film.mp4");
  assert.equal(asked.size, 10);
  assert.equal(asked.content_type, "video/mp4");
  assert.equal(asked.last_modified, 1_777_975_200_000);
  assert.match(asked.fingerprint, /^[0-9a-f]{64}$/);
  assert.deepEqual(asked.metadata, { album: "Alps" });
  assert.equal(asked.part_size, 500);
});

test("a second upload of the same file sends only the parts that the store lacks", async (t) => {
  const { backend, upload } = await scene(t);
  const first = upload(10_000);
  backend.onPart = ({ number }) => (number > 6 ? "hang" : undefined);
  first.start();
  await until(() => backend.acknowledged.length === 6);
  first.pause(); // as good as a closed page: nothing more is heard of it
  backend.onPart = () => {};

  const again = upload(10_000);
  const { id } = await again.start().finished();

  assert.equal(id, first.id);
  assert.deepEqual([...backend.acknowledged].sort((a, b) => a - b), [1, 2, 3, 4, 5, 6, 7, 8, 9, 10]);
});

test("resuming also works where the page has no crypto.subtle", async (t) => {
  const { backend, upload } = await scene(t, { env: { subtle: undefined } });
  backend.onPart = ({ number }) => (number > 2 ? "hang" : undefined);
  const first = upload(4000);
  first.start();
  await until(() => backend.acknowledged.length === 2);
  first.pause();
  backend.onPart = () => {};

  await upload(4000).start().finished();

  assert.deepEqual([...backend.acknowledged].sort(), [1, 2, 3, 4]);
});

test("a pause silences the line at once and resuming sends no acknowledged part again", async (t) => {
  const { backend, upload } = await scene(t, { onPart: ({ number }) => (number > 5 ? "hang" : undefined) });
  const film = upload(10_000);
  film.start();
  await until(() => film.progress.partsDone === 5 && backend.count(/PUT part/) === 9);

  film.pause();
  assert.equal(film.state, "paused");
  await until(() => film.progress.inFlight === 0);
  backend.onPart = () => {};
  await film.resume().finished();

  assert.deepEqual([...backend.acknowledged].sort((a, b) => a - b), [1, 2, 3, 4, 5, 6, 7, 8, 9, 10]);
});

test("a part whose answer was lost to a pause is found in the store and not sent again", async (t) => {
  const { backend, upload } = await scene(t);
  const film = upload(3000, { workers: 1 });
  backend.onPart = async ({ number }) => {
    if (number !== 2) return undefined;
    film.pause(); // the store takes the part, but nobody listens for its answer
    return undefined;
  };
  film.start();
  await until(() => backend.acknowledged.includes(2));
  backend.onPart = () => {};

  await film.resume().finished();

  assert.deepEqual(backend.acknowledged, [1, 2, 3]);
});

test("an upload that waits can be paused before it begins", async (t) => {
  const { backend, upload } = await scene(t);
  const film = upload(1000);

  film.pause();
  assert.equal(film.state, "paused");
  assert.equal(backend.log.length, 0);
  await film.resume().finished();

  assert.equal(film.state, "complete");
});

test("cancelling stops the parts and tells the server", async (t) => {
  const { backend, upload } = await scene(t, { onPart: () => "hang" });
  const film = upload(5000);
  film.start();
  await until(() => backend.partsAtOnce === 0 && backend.count(/PUT part/) === 4);
  const ending = assert.rejects(film.finished(), { code: "cancelled" });

  await film.cancel();

  assert.equal(film.state, "cancelled");
  assert.equal(backend.uploads.get(film.id).state, "aborted");
  await ending;
  film.start();
  assert.equal(film.state, "cancelled");
});

test("cancelling before the server has answered leaves nothing unfinished there", async (t) => {
  const { backend, upload } = await scene(t);
  let isFirst = true;
  backend.onApi = ({ route, body }) => {
    if (route !== "POST /uploads" || !isFirst) return undefined;
    isFirst = false;
    backend.answer("POST", route, new URL(backend.origin), body);
    return "hang";
  };
  const film = upload(5000);
  film.start();
  const ending = assert.rejects(film.finished(), { code: "cancelled" });
  await until(() => backend.uploads.size === 1);

  await film.cancel();

  assert.deepEqual([...backend.uploads.values()].map(({ state }) => state), ["aborted"]);
  await ending;
});

test("states are told in order", async (t) => {
  const { upload } = await scene(t);
  const film = upload(2000);
  const states = [];
  film.on("state", (state) => states.push(state));

  await film.start().finished();

  assert.deepEqual(states, ["hashing", "uploading", "completing", "complete"]);
});

test("progress counts acknowledged bytes and never more than the file has", async (t) => {
  const { upload } = await scene(t);
  const film = upload(10_000);
  const seen = [];
  film.on("progress", ({ acknowledged, inFlight }) => seen.push({ acknowledged, inFlight }));

  await film.start().finished();

  const acknowledged = seen.map((each) => each.acknowledged);
  assert.deepEqual(acknowledged, [...acknowledged].sort((a, b) => a - b));
  assert.ok(seen.every((each) => each.acknowledged + each.inFlight <= 10_000));
});

test("one cap holds over several files, and earlier files go first", async (t) => {
  const { backend, upload } = await scene(t, { onPart: () => new Promise((resolve) => setTimeout(resolve, 2)) });
  const pool = new Pool(3);
  const films = ["a", "b", "c"].map((fileName) => upload(6000, { pool, fileName }));
  const ends = [];
  films.forEach((film) => film.on("state", (state) => state === "complete" && ends.push(film.name)));

  await Promise.all(films.map((film) => film.start().finished()));

  assert.ok(backend.mostPartsAtOnce <= 3);
  assert.deepEqual(ends, ["a", "b", "c"]);
  assert.equal(pool.taken, 0);
});

test("what is unfinished is remembered without secrets and forgotten when it is whole", async (t) => {
  const { backend, upload } = await scene(t, { onPart: () => "hang" });
  const shelf = new Map();
  const storage = { getItem: (key) => shelf.get(key) ?? null, setItem: (key, value) => shelf.set(key, value) };
  const memory = new Memory(storage);
  const film = upload(3000, { memory });

  film.start();
  await until(() => backend.count(/PUT part/) === 3);
  assert.deepEqual(memory.list(), [{ id: film.id, name: "film.mp4", size: 3000, lastModified: 1_777_975_200_000 }]);
  assert.doesNotMatch([...shelf.values()].join(), /token|http/);

  film.pause();
  backend.onPart = () => {};
  await film.resume().finished();
  assert.deepEqual(memory.list(), []);
});

test("an upload that another tab finished is found whole", async (t) => {
  const { backend, upload } = await scene(t, { onPart: ({ number }) => (number > 1 ? "hang" : undefined) });
  const film = upload(2000);
  film.start();
  await until(() => backend.acknowledged.length === 1);
  film.pause();
  backend.onPart = () => {};
  await upload(2000).start().finished();

  const result = await film.resume().finished();

  assert.equal(result.id, film.id);
  assert.deepEqual(backend.acknowledged, [1, 2]);
});

test("a listener that throws does not stop the upload", async (t) => {
  const { upload } = await scene(t);
  t.mock.method(console, "error", () => {});
  const film = upload(2000);
  film.on("progress", () => {
    throw new Error("a page's own mistake");
  });

  await film.start().finished();

  assert.equal(film.state, "complete");
});

test("an upload needs nothing but a file to be made", () => {
  const upload = new Upload(file(1));
  assert.equal(upload.state, "waiting");
  assert.equal(upload.workers, 4);
});
