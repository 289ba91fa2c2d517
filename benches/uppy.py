#!/usr/bin/env python3
"""Signatures of parts as Uppy's pages ask for them, over HTTP: our server beside Uppy's own Companion, in one run and in
turn. Needs Linux (CPU figures come from /proc), Node for Companion, and of Python only the standard library.

    cargo build --release
    npm install --prefix DIR @uppy/companion@6 express@4
    benches/uppy.py --companion DIR [--seconds 5] [--rounds 3]

Every request of ours brings an API key and names an upload, whose owner is looked up in the database; Companion looks at
neither. Ends with 1 where a bar is missed (`benches/README.md`).
"""

import argparse
import http.client
import json
import os
import shutil
import socket
import statistics
import subprocess
import sys
import tempfile
import threading
import time
import urllib.parse

KEY = "bench-key-0123456789abcdef"
STORE_KEY, STORE_SECRET, BUCKET = "benchkey", "benchsecret0123456789", "uploads"
SCRIPT = os.path.join(os.path.dirname(os.path.abspath(__file__)), "companion_server.mjs")
BATCH = 1000

# How many times Companion's signatures for each CPU second, and signed parts in batches for each CPU second.
SINGLE_TIMES, BATCHED = 40, 300_000


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


class Server:
    """A program with a folder of its own; what it used is read from /proc."""

    def __init__(self, command, port, cwd=None, stdin=subprocess.DEVNULL, folder=None, **environment):
        self.folder, self.port = folder or tempfile.mkdtemp(prefix="uppy-bench."), port
        environment = {"PATH": os.environ["PATH"]} | environment
        self.process = subprocess.Popen(command, cwd=cwd or self.folder, env=environment, stdin=stdin,
                                        stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        for _ in range(400):
            try:
                socket.create_connection(("127.0.0.1", port), timeout=1).close()
                return
            except OSError:
                time.sleep(0.05)
        raise SystemExit(f"{command[0]} does not start")

    def used(self):
        """CPU seconds and peak resident MiB so far."""
        with open(f"/proc/{self.process.pid}/stat") as stat:
            fields = stat.read().rsplit(")", 1)[1].split()
        with open(f"/proc/{self.process.pid}/status") as status:
            peak = next(int(line.split()[1]) for line in status if line.startswith("VmHWM")) / 1024
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK"), peak

    def stop(self):
        self.process.terminate()
        self.process.wait()
        shutil.rmtree(self.folder, ignore_errors=True)


def ours(program, store_port):
    port = free_port()
    folder = tempfile.mkdtemp(prefix="uppy-bench.")
    return Server([program, "--data", f"{folder}/data", "--port", str(port), "--s3-port", str(store_port)], port,
                  folder=folder, API_KEY=KEY, MULETEER_LOG__FILTER="warn",
                  MULETEER_DEV_S3__ACCESS_KEY_ID=STORE_KEY, MULETEER_DEV_S3__SECRET_ACCESS_KEY=STORE_SECRET,
                  MULETEER_DEV_S3__BUCKET=BUCKET)


def companion(folder, store_port):
    port = free_port()
    with open(SCRIPT) as script:
        return Server(["node", "--input-type=module", "-"], port, cwd=folder, stdin=script, PORT=str(port),
                      STORE=f"http://127.0.0.1:{store_port}", KEY=STORE_KEY, SECRET=STORE_SECRET, BUCKET=BUCKET,
                      FOLDER=tempfile.gettempdir(), NODE_ENV="production")


def begin(server):
    """The address of a new upload below `/s3/multipart`, and its key."""
    connection = http.client.HTTPConnection("127.0.0.1", server.port, timeout=30)
    body = json.dumps({"filename": "film.mp4", "type": "video/mp4", "metadata": {"name": "film.mp4"}})
    connection.request("POST", "/s3/multipart", body, {"Content-Type": "application/json", "X-API-Key": KEY})
    answer = connection.getresponse()
    text = answer.read()
    if answer.status != 200:
        raise SystemExit(f"create: {answer.status} {text[:300]}")
    made = json.loads(text)
    return f"/s3/multipart/{urllib.parse.quote(made['uploadId'], safe='')}", urllib.parse.quote(made["key"], safe="")


class Worker(threading.Thread):
    """One connection that asks again as soon as it is answered, in as few steps as Python allows."""

    def __init__(self, port, targets, until):
        super().__init__()
        self.port, self.until, self.times, self.failure = port, until, [], None
        self.requests = [f"GET {target} HTTP/1.1\r\nHost: localhost\r\nX-API-Key: {KEY}\r\n\r\n".encode()
                         for target in targets]

    def run(self):
        with socket.create_connection(("127.0.0.1", self.port)) as connection:
            connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            turn = 0
            while time.monotonic() < self.until:
                began = time.monotonic()
                connection.sendall(self.requests[turn % len(self.requests)])
                head = b""
                while b"\r\n\r\n" not in head:
                    head += connection.recv(1 << 20)
                fields, body = head.split(b"\r\n\r\n", 1)
                if b" 200 " not in fields[:16]:
                    self.failure = head[:300]
                    return
                length = int(next(line for line in fields.lower().split(b"\r\n")
                                  if line.startswith(b"content-length:")).split(b":")[1])
                left = length - len(body)
                while left > 0:
                    left -= len(connection.recv(1 << 20))
                self.times.append(time.monotonic() - began)
                turn += 1


def measure(server, store, targets, seconds, connections, each):
    """Signatures for each CPU second of the server and each second, p50 and p99 in ms, peak MiB."""
    del store
    for lasts in (1, seconds):
        before, began = server.used()[0], time.monotonic()
        workers = [Worker(server.port, targets, began + lasts) for _ in range(connections)]
        for worker in workers:
            worker.start()
        for worker in workers:
            worker.join()
            if worker.failure:
                raise SystemExit(f"refused: {worker.failure}")
        wall, (after, peak) = time.monotonic() - began, server.used()
    times = sorted(time for worker in workers for time in worker.times)
    count = len(times) * each
    return (count / (after - before), count / wall, times[len(times) // 2] * 1000,
            times[min(len(times) - 1, len(times) * 99 // 100)] * 1000, peak)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--program", default="target/release/muleteer")
    parser.add_argument("--companion", help="folder in which @uppy/companion and express are installed")
    parser.add_argument("--seconds", type=float, default=5)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--connections", type=int, default=8)
    options = parser.parse_args()
    numbers = ",".join(str(number) for number in range(1, BATCH + 1))
    rows = {}
    for _ in range(options.rounds):
        store_port = free_port()
        mine = ours(os.path.abspath(options.program), store_port)
        servers = {"muleteer": mine}
        if options.companion:
            servers["Companion"] = companion(os.path.abspath(options.companion), store_port)
        try:
            for name, server in servers.items():
                address, key = begin(server)
                singles = [f"{address}/{number}?key={key}" for number in range(1, 101)]
                batch = [f"{address}/batch?key={key}&partNumbers={numbers}"]
                for kind, targets, connections, each in [("single", singles, options.connections, 1),
                                                         ("batch of 1,000", batch, 2, BATCH)]:
                    row = measure(server, mine, targets, options.seconds, connections, each)
                    rows.setdefault((kind, name), []).append(row)
        finally:
            for server in servers.values():
                server.stop()
    print(f"median of {options.rounds}")
    print(f"{'':26}{'signed/CPU s':>14}{'signed/s':>11}{'p50 ms':>9}{'p99 ms':>9}{'peak MiB':>10}")
    medians = {}
    for (kind, name), figures in rows.items():
        medians[kind, name] = [statistics.median(column) for column in zip(*figures)]
        per_cpu, rate, p50, p99, peak = medians[kind, name]
        print(f"{kind + ', ' + name:26}{per_cpu:14,.0f}{rate:11,.0f}{p50:9.2f}{p99:9.2f}{peak:10.0f}")
    met = medians["batch of 1,000", "muleteer"][0] >= BATCHED
    if options.companion:
        times = medians["single", "muleteer"][0] / medians["single", "Companion"][0]
        print(f"single: {times:.1f} times Companion's for each CPU second")
        met = met and times >= SINGLE_TIMES
    print("bars met" if met else "a bar is missed")
    return 0 if met else 1


if __name__ == "__main__":
    sys.exit(main())
