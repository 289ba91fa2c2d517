import assert from "node:assert/strict";
import { test } from "node:test";
import { until } from "./support/environment.js";
import { scene } from "./support/scene.js";

test("records gather while one call is under way and all are told before the end", async (t) => {
  const { backend, upload } = await scene(t);
  const waiting = [];
  backend.onApi = ({ route }) => {
    if (!/parts/.test(route) || backend.count(/POST .*parts/) > 1) return undefined;
    return new Promise((resolve) => waiting.push(resolve));
  };
  const film = upload(20_000);
  film.start();

  await until(() => backend.acknowledged.length === 20, "no part waits for a record");
  await until(() => film.state === "completing");
  assert.equal(backend.count(/complete/), 0, "the end waits for the records");
  waiting.forEach((goOn) => goOn());
  const { id } = await film.finished();

  assert.deepEqual(backend.uploads.get(id).records.sort((a, b) => a - b), backend.acknowledged.sort((a, b) => a - b));
  assert.equal(backend.count(/POST .*parts/), 2);
});

test("a record that fails is told again", async (t) => {
  const { backend, upload } = await scene(t);
  let failures = 3;
  backend.onApi = ({ route }) => (/parts/.test(route) && failures-- > 0 ? "reset" : undefined);

  const { id } = await upload(3000).start().finished();

  assert.equal(new Set(backend.uploads.get(id).records).size, 3);
});

test("records left over from before a pause are told afterwards", async (t) => {
  const { backend, upload } = await scene(t, { onPart: ({ number }) => (number > 2 ? "hang" : undefined) });
  backend.onApi = ({ route }) => (/parts/.test(route) ? "hang" : undefined);
  const film = upload(4000);
  film.start();
  await until(() => film.progress.partsDone === 2 && backend.count(/PUT part/) === 4);

  film.pause();
  backend.onPart = () => {};
  backend.onApi = () => {};
  const { id } = await film.resume().finished();

  assert.deepEqual([...new Set(backend.uploads.get(id).records)].sort(), [1, 2, 3, 4]);
});
