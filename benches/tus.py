#!/usr/bin/env python3
"""tus to a local folder: throughput, CPU and memory of our server beside the reference server's and rustus', in one run
and in turn. Needs Linux (figures come from /proc), Node for the reference server, and of Python only the standard library.

    cargo build --release
    npm install --prefix DIR @tus/server@2.4.5 @tus/file-store@2.1.1
    cargo install rustus --root DIR
    benches/tus.py --reference DIR --rustus DIR/bin/rustus [--mib 1024] [--each 256] [--rounds 3]

First one PATCH of `--mib`, then eight at once of `--each`, every one to a server that was just started. Ends with 1 where
a bar is missed (`benches/README.md`).
"""

import argparse
import filecmp
import http.client
import os
import shutil
import socket
import statistics
import subprocess
import sys
import tempfile
import time
import urllib.parse
from concurrent.futures import ThreadPoolExecutor

KEY = "bench-key-0123456789abcdef"
MIB = 1 << 20
TUS = {"Tus-Resumable": "1.0.0"}
SCRIPT = os.path.join(os.path.dirname(os.path.abspath(__file__)), "tus_server.mjs")

# Against the reference server in the same run, and of our own.
THROUGHPUT, CPU, PEAK_MIB = 1.6, 0.5, 64


class Server:
    """One server with a folder and a port of its own; what it used is read from /proc."""

    def __init__(self, command, cwd=None, stdin=subprocess.DEVNULL, **environment):
        self.folder = tempfile.mkdtemp(prefix="tus-bench.", dir=os.environ.get("BENCH_DIR"))
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            self.port = probe.getsockname()[1]
        words = [word.format(folder=self.folder, port=self.port) for word in command]
        environment = {name: value.format(folder=self.folder, port=self.port) for name, value in environment.items()}
        self.process = subprocess.Popen(words, cwd=cwd or self.folder, env={"PATH": os.environ["PATH"]} | environment,
                                        stdin=stdin, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        for _ in range(200):
            try:
                self.call("OPTIONS", "/files")
                return
            except OSError:
                time.sleep(0.05)
        raise SystemExit(f"{words[0]} does not start")

    def call(self, method, path, headers=()):
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=60)
        connection.request(method, path, headers=TUS | {"X-API-Key": KEY} | dict(headers))
        answer = connection.getresponse()
        text = answer.read()
        connection.close()
        if answer.status >= 300:
            raise SystemExit(f"{method} {path}: {answer.status} {text[:300]}")
        return answer

    def create(self, size):
        location = self.call("POST", "/files", {"Upload-Length": size}).getheader("Location")
        return urllib.parse.urlsplit(location).path

    def patch(self, path, file, size):
        """One PATCH with as little work of ours as there can be: the kernel copies the file to the socket."""
        with socket.create_connection(("127.0.0.1", self.port)) as connection, open(file, "rb") as source:
            head = (f"PATCH {path} HTTP/1.1\r\nHost: localhost\r\nX-API-Key: {KEY}\r\nTus-Resumable: 1.0.0\r\n"
                    f"Content-Type: application/offset+octet-stream\r\nUpload-Offset: 0\r\nContent-Length: {size}\r\n"
                    f"Connection: close\r\n\r\n")
            connection.sendall(head.encode())
            connection.sendfile(source, 0, size)
            answer = b""
            while piece := connection.recv(65536):
                answer += piece
        if not answer.startswith(b"HTTP/1.1 204"):
            raise SystemExit(f"PATCH: {answer[:300]}")

    def used(self):
        """CPU seconds and peak resident MiB so far."""
        with open(f"/proc/{self.process.pid}/stat") as stat:
            fields = stat.read().rsplit(")", 1)[1].split()
        with open(f"/proc/{self.process.pid}/status") as status:
            peak = next(int(line.split()[1]) for line in status if line.startswith("VmHWM")) / 1024
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK"), peak

    def stored(self, size):
        """A file of this size below the server's folder."""
        for folder, _, names in os.walk(self.folder):
            for name in names:
                path = os.path.join(folder, name)
                if os.path.getsize(path) == size:
                    return path
        raise SystemExit(f"no file of {size} bytes was stored")

    def stop(self):
        self.process.terminate()
        self.process.wait()
        shutil.rmtree(self.folder)


def ours(program, sync):
    return Server([program, "--data", "{folder}/data", "--port", "{port}", "--s3-port", "0"],
                  API_KEY=KEY, STORAGE_BACKEND="local", LOCAL_STORAGE_PATH="{folder}/files",
                  MULETEER_LOG__FILTER="warn", MULETEER_STORAGE__SYNC="true" if sync else "false")


def reference(folder):
    with open(SCRIPT) as script:
        return Server(["node", "--input-type=module", "-"], cwd=folder, stdin=script, FOLDER="{folder}", PORT="{port}")


def rustus(program):
    # It takes a body as a whole, and by default none above 256 KiB.
    return Server([program, "--host", "127.0.0.1", "--port", "{port}", "--data-dir", "{folder}/data", "--info-dir",
                   "{folder}/info", "--log-level", "ERROR", "--max-body-size", str(8 << 30)])


def contestants(options):
    """Names with what starts each server."""
    servers = {}
    if os.path.exists(options.program):
        servers["muleteer, synced"] = lambda: ours(options.program, True)
        servers["muleteer, not synced"] = lambda: ours(options.program, False)
    if options.reference:
        servers["@tus/server"] = lambda: reference(os.path.abspath(options.reference))
    if options.rustus:
        servers["rustus"] = lambda: rustus(os.path.abspath(options.rustus))
    return servers


def measure(server, file, size, count, check):
    """MiB a second, CPU seconds for each GiB, peak MiB."""
    paths = [server.create(size) for _ in range(count)]
    before, _ = server.used()
    began = time.monotonic()
    with ThreadPoolExecutor(count) as pool:
        for job in [pool.submit(server.patch, path, file, size) for path in paths]:
            job.result()
    wall = time.monotonic() - began
    after, peak = server.used()
    for path in paths:
        offset = server.call("HEAD", path).getheader("Upload-Offset")
        if offset != str(size):
            raise SystemExit(f"{path}: offset {offset} of {size}")
    if check and not filecmp.cmp(server.stored(size), file, shallow=False):
        raise SystemExit("what was stored is not what was sent")
    mib = count * size / MIB
    return mib / wall, (after - before) / mib * 1024, peak


def compare(options, what, mib, count):
    """Measures all in turn and prints their medians; whether ours meets its bars."""
    servers = contestants(options)
    rows = {name: [] for name in servers}
    with tempfile.TemporaryDirectory(dir=os.environ.get("BENCH_DIR")) as folder:
        file = f"{folder}/file"
        with open(file, "wb") as target:
            for _ in range(mib):
                target.write(os.urandom(MIB))
        for turn in range(options.rounds):
            for name, start in servers.items():
                os.sync()
                server = start()
                try:
                    rows[name].append(measure(server, file, mib * MIB, count, turn == 0))
                finally:
                    server.stop()
    print(f"\n{what}, median of {options.rounds}")
    print(f"{'':22}{'MiB/s':>9}{'CPU s/GiB':>11}{'peak MiB':>10}{'times as fast':>15}{'of its CPU':>12}")
    medians = {name: [statistics.median(column) for column in zip(*figures)] for name, figures in rows.items()}
    met = True
    rival = medians.get("@tus/server")
    for name, (speed, cpu, peak) in medians.items():
        line = f"{name:22}{speed:9.0f}{cpu:11.2f}{peak:10.0f}"
        if rival and rival is not medians[name]:
            line += f"{speed / rival[0]:15.2f}{cpu / rival[1]:12.2f}"
        if name.startswith("muleteer"):
            bars = [("memory", peak <= PEAK_MIB)]
            if rival:
                bars += [("throughput", speed >= THROUGHPUT * rival[0]), ("CPU", cpu <= CPU * rival[1])]
            missed = [bar for bar, is_met in bars if not is_met]
            line += f"   missed: {', '.join(missed)}" if missed else "   bars met"
            met = met and not missed
        print(line)
    return met


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--program", default="target/release/muleteer")
    parser.add_argument("--reference", help="folder in which @tus/server and @tus/file-store are installed")
    parser.add_argument("--rustus", help="its program")
    parser.add_argument("--mib", type=int, default=1024, help="MiB of the one PATCH")
    parser.add_argument("--each", type=int, default=256, help="MiB of each of eight at once")
    parser.add_argument("--rounds", type=int, default=3)
    options = parser.parse_args()
    options.program = os.path.abspath(options.program)
    if not os.path.exists(options.program):
        print(f"without {options.program}, which does not exist", file=sys.stderr)
    one = compare(options, f"one PATCH of {options.mib} MiB", options.mib, 1)
    eight = compare(options, f"eight PATCHes of {options.each} MiB at once", options.each, 8)
    return 0 if one and eight else 1


if __name__ == "__main__":
    sys.exit(main())
