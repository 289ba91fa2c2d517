#!/usr/bin/env python3
"""The chunk server's protocol to local storage: wall time, CPU, memory and bytes written of the server, and whatever else
`benches/README.md` states of it. Needs Linux (figures come from /proc) and nothing but the standard library.

    cargo build --release
    benches/chunk_server.py upload [--original PROGRAM] [--mib 1024] [--connections 4] [--no-sync] [--rounds 3]
    benches/chunk_server.py memory        peak memory by connections, and of 64 uploads at once
    benches/chunk_server.py init          `init` of 10,000 parts, and `/health` during four such

`--original` is the published server (`cargo install chunked-uploader`), measured in turn with ours.
"""

import argparse
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
import urllib.error
import urllib.request
from concurrent.futures import ThreadPoolExecutor

KEY = "bench-key-0123456789abcdef"
MIB = 1 << 20
CHUNK = 50 * MIB


class Server:
    """One server with a folder and a port of its own; what it used is read from /proc."""

    def __init__(self, program, original, sync=True, chunk_mib=50):
        self.folder = tempfile.mkdtemp(prefix="chunk-bench.", dir=os.environ.get("BENCH_DIR"))
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            self.port = probe.getsockname()[1]
        environment = {
            "PATH": os.environ["PATH"], "API_KEY": KEY, "JWT_SECRET": "0123456789abcdef" * 4,
            "STORAGE_BACKEND": "local", "LOCAL_STORAGE_PATH": f"{self.folder}/files", "CHUNK_SIZE_MB": str(chunk_mib),
            "DATABASE_PATH": f"{self.folder}/uploads.db", "SERVER_PORT": str(self.port),
        }
        command = [program]
        if original:
            # The log of the original is on by default, line by line; ours writes one line a request.
            environment |= {"TEMP_STORAGE_PATH": f"{self.folder}/temp", "RUST_LOG": "error"}
        else:
            environment |= {"MULETEER_STORAGE__SYNC": "true" if sync else "false", "MULETEER_LOG__FILTER": "warn"}
            command += ["--data", f"{self.folder}/data", "--s3-port", "0"]
        self.process = subprocess.Popen(command, cwd=self.folder, env=environment, stdin=subprocess.DEVNULL,
                                        stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        for _ in range(100):
            try:
                self.call("GET", "/health")
                return
            except OSError:
                time.sleep(0.1)
        raise SystemExit(f"{program} does not start")

    def call(self, method, path, body=None, timeout=120):
        request = urllib.request.Request(f"http://127.0.0.1:{self.port}{path}", method=method,
                                         data=None if body is None else json.dumps(body).encode(),
                                         headers={"X-API-Key": KEY, "Content-Type": "application/json"})
        with urllib.request.urlopen(request, timeout=timeout) as answer:
            return json.loads(answer.read())

    def used(self):
        """CPU seconds, peak resident bytes and bytes sent to the disk so far."""
        with open(f"/proc/{self.process.pid}/stat") as stat:
            fields = stat.read().rsplit(")", 1)[1].split()
        with open(f"/proc/{self.process.pid}/status") as status:
            peak = next(int(line.split()[1]) for line in status if line.startswith("VmHWM")) * 1024
        with open(f"/proc/{self.process.pid}/io") as io:
            written = next(int(line.split()[1]) for line in io if line.startswith("write_bytes"))
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK"), peak, written

    def stop(self):
        self.process.terminate()
        self.process.wait()
        shutil.rmtree(self.folder)


def send_part(server, upload, number, token, file, size):
    """One part with as little work of ours as there can be: the kernel copies the file to the socket."""
    length = min(CHUNK, size - number * CHUNK)
    with socket.create_connection(("127.0.0.1", server.port)) as connection, open(file, "rb") as source:
        head = (f"PUT /upload/{upload}/part/{number} HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer {token}\r\n"
                f"Content-Type: application/octet-stream\r\nContent-Length: {length}\r\nConnection: close\r\n\r\n")
        connection.sendall(head.encode())
        connection.sendfile(source, number * CHUNK, length)
        answer = b""
        while piece := connection.recv(65536):
            answer += piece
    if not answer.startswith(b"HTTP/1.1 200"):
        raise SystemExit(f"part {number}: {answer[:300]}")


def upload(server, file, size, connections):
    """Uploads the file; seconds until it was complete, and seconds of that from the request to complete it."""
    began = time.monotonic()
    begun = server.call("POST", "/upload/init", {"filename": "bench/film.bin", "total_size": size})
    identity = begun["file_id"]
    with ThreadPoolExecutor(connections) as pool:
        jobs = [pool.submit(send_part, server, identity, part["part"], part["token"], file, size)
                for part in begun["parts"]]
        for job in jobs:
            job.result()
    sent = time.monotonic()
    answer = server.call("POST", f"/upload/{identity}/complete")
    while answer.get("status") not in ("complete",):
        # A later version of the original answers before it is done.
        time.sleep(0.02)
        answer = server.call("GET", f"/upload/{identity}/status")
        if answer.get("status") == "failed":
            raise SystemExit(f"failed: {answer}")
    done = time.monotonic()
    return done - began, done - sent


def a_file(folder, size):
    path = f"{folder}/file"
    with open(path, "wb") as file:
        block = os.urandom(16 * MIB)
        for start in range(0, size, len(block)):
            file.write(block[:size - start])
    return path


def measure_uploads(options):
    size = options.mib * MIB
    servers = [("muleteer", options.program, False)]
    if options.original:
        servers.append(("original", options.original, True))
    rows = {name: [] for name, *_ in servers}
    with tempfile.TemporaryDirectory(dir=os.environ.get("BENCH_DIR")) as folder:
        file = a_file(folder, size)
        for _ in range(options.rounds):
            for name, program, original in servers:
                server = Server(program, original, not options.no_sync)
                before = server.used()
                wall, complete = upload(server, file, size, options.connections)
                # What waits in the page cache is charged to whoever dirtied it, already.
                cpu, peak, written = server.used()
                rows[name].append((wall, cpu - before[0], complete, peak / MIB, (written - before[2]) / size))
                server.stop()
                os.sync()
    print(f"{options.mib} MiB in parts of 50 MiB, {options.connections} connections, "
          f"{'not ' if options.no_sync else ''}synced, median of {options.rounds}")
    print(f"{'':10}{'wall s':>9}{'CPU s':>9}{'complete s':>12}{'peak MiB':>10}{'written':>9}")
    medians = {}
    for name, figures in rows.items():
        medians[name] = [statistics.median(column) for column in zip(*figures)]
        wall, cpu, complete, peak, written = medians[name]
        print(f"{name:10}{wall:9.2f}{cpu:9.2f}{complete:12.3f}{peak:10.0f}{written:9.3f}")
    if options.original:
        ratios = [ours / theirs for ours, theirs in zip(medians["muleteer"], medians["original"])]
        print(f"{'ratio':10}{ratios[0]:9.2f}{ratios[1]:9.2f}{ratios[2]:12.3f}{ratios[3]:10.2f}{ratios[4]:9.2f}")


def measure_memory(options):
    with tempfile.TemporaryDirectory(dir=os.environ.get("BENCH_DIR")) as folder:
        size = 20 * CHUNK
        file = a_file(folder, size)
        for connections in (1, 4, 8, 16):
            server = Server(options.program, False, not options.no_sync)
            idle = server.used()[1] / MIB
            upload(server, file, size, connections)
            print(f"{connections:3} connections: peak {server.used()[1] / MIB:.1f} MiB (idle {idle:.1f})")
            server.stop()
        server = Server(options.program, False, not options.no_sync)
        begun = [server.call("POST", "/upload/init", {"filename": f"{n}.bin", "total_size": CHUNK}) for n in range(64)]
        threads = [threading.Thread(target=send_part, args=(server, one["file_id"], 0, one["parts"][0]["token"], file,
                                                            CHUNK)) for one in begun]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        print(f"64 uploads of 50 MiB at once: peak {server.used()[1] / MIB:.1f} MiB")
        server.stop()


def measure_init(options):
    server = Server(options.program, False)
    big = {"filename": "big.bin", "total_size": 10_000 * CHUNK}

    def timed(work):
        began = time.monotonic()
        work()
        return time.monotonic() - began

    # So many bytes fit on few disks, and are refused at once where they do not: then the parts are smaller.
    try:
        server.call("POST", "/upload/init", big)
    except urllib.error.HTTPError as error:
        if error.code != 507:
            raise
        server.stop()
        server = Server(options.program, False, chunk_mib=1)
        big["total_size"] = 10_000 * MIB
    alone = [timed(lambda: server.call("POST", "/upload/init", big)) for _ in range(5)]
    print(f"init of 10,000 parts: {min(alone):.3f} to {max(alone):.3f} s")
    with ThreadPoolExecutor(4) as pool:
        jobs = [pool.submit(timed, lambda: server.call("POST", "/upload/init", big)) for _ in range(4)]
        health = []
        while not all(job.done() for job in jobs):
            health.append(timed(lambda: server.call("GET", "/health")))
    print(f"four at once: {max(job.result() for job in jobs):.3f} s; "
          f"/health meanwhile: {len(health)} times, at most {max(health) * 1000:.0f} ms")
    server.stop()


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("what", choices=["upload", "memory", "init"])
    parser.add_argument("--program", default="target/release/muleteer")
    parser.add_argument("--original")
    parser.add_argument("--mib", type=int, default=1024)
    parser.add_argument("--connections", type=int, default=4)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--no-sync", action="store_true")
    options = parser.parse_args()
    options.program = os.path.abspath(options.program)
    {"upload": measure_uploads, "memory": measure_memory, "init": measure_init}[options.what](options)


if __name__ == "__main__":
    sys.exit(main())
