// Starting programs, waiting for a line of theirs, and making sure that none outlives the tests.

import { spawn } from "node:child_process";
import { createServer } from "node:net";

const alive = new Set();
// An interrupted or crashed test run must not leave servers behind.
process.on("exit", () => alive.forEach((child) => child.kill("SIGKILL")));
for (const signal of ["SIGINT", "SIGTERM"]) {
  process.on(signal, () => process.exit(1));
}

/** A loopback port on which nothing listens at this moment. */
export function freePort() {
  return new Promise((resolve, reject) => {
    const probe = createServer();
    probe.once("error", reject);
    probe.listen(0, "127.0.0.1", () => {
      const { port } = probe.address();
      probe.close(() => resolve(port));
    });
  });
}

/**
 * Starts a program and waits until it prints a line that matches.
 * @param {string} program
 * @param {string[]} words
 * @param {{ cwd: string, env: Record<string, string>, ready: RegExp, timeout?: number }} options timeout in ms
 */
export async function startProcess(program, words, { cwd, env, ready, timeout = 30_000 }) {
  const child = spawn(program, words, { cwd, env, stdio: ["ignore", "pipe", "pipe"] });
  alive.add(child);
  const output = { stdout: "", stderr: "" };
  const ended = new Promise((resolve) => {
    child.once("error", (error) => resolve(error.message));
    child.once("exit", (code, signal) => resolve(signal ?? code));
  });
  ended.then(() => alive.delete(child));
  const told = new Promise((resolve) => {
    for (const stream of ["stdout", "stderr"]) {
      child[stream].setEncoding("utf8");
      child[stream].on("data", (text) => {
        // The end of the log is what explains a failure; hours of it would fill the memory.
        output[stream] = (output[stream] + text).slice(-200_000);
        if (stream === "stdout" && ready.test(output.stdout)) resolve("ready");
      });
    }
  });
  let timer;
  const late = new Promise((resolve) => (timer = setTimeout(resolve, timeout, "late")));
  const first = await Promise.race([told, late, ended]);
  clearTimeout(timer);
  if (first !== "ready") {
    child.kill("SIGKILL");
    throw new Error(`${program} ${words.join(" ")}: ${first}\n${output.stdout}\n${output.stderr}`);
  }
  return {
    pid: child.pid,
    output,
    /** Sends a signal and waits for the end; answers the exit code or the signal's name. */
    async end(signal) {
      child.kill(signal);
      return ended;
    },
  };
}

/** Runs a program to its end and answers what it printed on standard output; throws when it fails. */
export function run(program, words, { cwd, env }) {
  return new Promise((resolve, reject) => {
    const child = spawn(program, words, { cwd, env, stdio: ["ignore", "pipe", "pipe"] });
    let stdout = "";
    let stderr = "";
    child.stdout.on("data", (text) => (stdout += text));
    child.stderr.on("data", (text) => (stderr += text));
    child.once("error", reject);
    child.once("exit", (code) =>
      code === 0 ? resolve(stdout) : reject(new Error(`${program} ${words.join(" ")}: ${code}\n${stderr}`)));
  });
}

/** @param {number} ms */
export const sleep = (ms) => new Promise((resolve) => setTimeout(resolve, ms));

/** Asks every 50 ms until `question` answers something true, and answers that. */
export async function until(what, question, timeout = 30_000) {
  const end = Date.now() + timeout;
  for (;;) {
    const answer = await question();
    if (answer) return answer;
    if (Date.now() > end) throw new Error(`waited ${timeout} ms in vain: ${what}`);
    await sleep(50);
  }
}
