#!/usr/bin/env python3
"""The admin's pages with very many uploads: seeds a database, then measures the list, every search and an upload's page
over HTTP. Of Python it needs the standard library alone; for PostgreSQL also `psql`.

    cargo build --release
    benches/admin.py [--uploads 1000000] [--postgres URL] [--program target/release/muleteer] [--rounds 200]

Without `--postgres` it measures SQLite, in a folder that is gone afterwards. The address must be that of an empty database.
Every page is asked for by one client, one after the other, each time with another value; the first tenth of the
answers does not count.
"""

import argparse
import hashlib
import http.client
import os
import random
import re
import socket
import sqlite3
import statistics
import subprocess
import sys
import tempfile
import time
import urllib.parse

KEY = "bench-key-0123456789abcdef"
BEGAN = 1_750_000_000  # seconds since 1970, of the oldest upload; one every 20 seconds
STATES = ["complete"] * 93 + ["aborted"] * 3 + ["expired"] * 2 + ["failed"] + ["open"]
PROTOCOLS = ["native"] * 60 + ["uppy"] * 20 + ["tus"] * 15 + ["chunks"] * 4 + ["evaporate"]
NAMES = ["IMG_", "IMG_", "clip ", "backup-", "Scan_", "a"]


def upload(n):
    """The n-th upload, oldest first, as the columns that are not the same for all."""
    chance = random.Random(n)
    millis = (BEGAN + n * 20) * 1000
    digest = hashlib.sha256(str(n).encode()).hexdigest()
    ident = f"{millis:012x}7{digest[:3]}8{digest[3:18]}"
    at = time.strftime("%Y-%m-%d %H:%M:%S", time.gmtime(millis / 1000))
    later = time.strftime("%Y-%m-%d %H:%M:%S", time.gmtime(4_000_000_000))
    name = f"{chance.choice(NAMES)}{chance.randrange(200_000)}.mp4"
    # A few owners have most of it, as everywhere.
    owner = f"owner-{int(chance.paretovariate(0.7)) % 20_000}"
    address = f"10.{chance.randrange(4)}.{chance.randrange(256)}.{chance.randrange(256)}"
    size = chance.randrange(1, 1 << 33)
    return {
        "id": ident, "owner": owner, "state": chance.choice(STATES), "transfer": "direct",
        "protocol": chance.choice(PROTOCOLS), "filename": name, "size": size, "content_type": "video/mp4",
        "fingerprint": digest, "metadata": "{}", "bucket": "uploads", "object_key": f"uploads/{ident}/{name}",
        "multipart_id": f"multipart-{digest[:40]}", "part_size": 1 << 30, "created_at": at, "updated_at": at,
        "expires_at": later, "storage": "s3", "cut": "ours", "client_ip": address,
    }


def rows(count):
    """Uploads, with two part records and three log entries each."""
    for n in range(count):
        row = upload(n)
        at = row["created_at"]
        parts = [(row["id"], number, min(1 << 30, row["size"]), "etag", at) for number in (1, 2)]
        events = [(row["id"], at, kind, "{}") for kind in ("created", "signed", "completing")]
        yield row, parts, events


PART_COLUMNS = "(upload_id, number, size, etag, recorded_at)"
EVENT_COLUMNS = "(upload_id, at, kind, detail)"


def seed_sqlite(path, count):
    database = sqlite3.connect(path)
    database.execute("PRAGMA synchronous = OFF")
    columns = list(upload(0))
    insert = f"INSERT INTO uploads ({', '.join(columns)}) VALUES ({', '.join('?' * len(columns))})"
    batch = []
    for entry in rows(count):
        batch.append(entry)
        if len(batch) == 20_000:
            write_sqlite(database, insert, batch)
            batch = []
    write_sqlite(database, insert, batch)
    database.close()


def write_sqlite(database, insert, batch):
    with database:
        database.executemany(insert, [tuple(row.values()) for row, _, _ in batch])
        database.executemany(f"INSERT INTO parts {PART_COLUMNS} VALUES (?, ?, ?, ?, ?)", [p for _, ps, _ in batch for p in ps])
        database.executemany(f"INSERT INTO upload_events {EVENT_COLUMNS} VALUES (?, ?, ?, ?)", [e for _, _, es in batch for e in es])


def seed_postgres(url, count):
    columns = list(upload(0))
    with tempfile.TemporaryDirectory(dir=os.environ.get("BENCH_DIR")) as folder:
        tables = {"uploads": f"({', '.join(columns)})", "parts": PART_COLUMNS, "upload_events": EVENT_COLUMNS}
        files = {table: open(os.path.join(folder, table), "w", encoding="utf-8") for table in tables}
        for row, parts, events in rows(count):
            files["uploads"].write("\t".join(map(str, row.values())) + "\n")
            files["parts"].writelines("\t".join(map(str, part)) + "\n" for part in parts)
            files["upload_events"].writelines("\t".join(event) + "\n" for event in events)
        for table, names in tables.items():
            files[table].close()
            copy = f"\\copy {table} {names} FROM '{os.path.join(folder, table)}'"
            subprocess.run(["psql", "-qX", "-v", "ON_ERROR_STOP=1", "-c", copy, url], check=True)
        subprocess.run(["psql", "-qX", "-c", "VACUUM ANALYZE", url], check=True)


class Program:
    """The program with a data folder and a port of its own."""

    def __init__(self, program, folder, **environment):
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            self.port = probe.getsockname()[1]
        words = [program, "serve", "--port", str(self.port), "--s3-port", "0", "--data", folder]
        environment = {"PATH": os.environ["PATH"], "MULETEER_AUTH__API_KEY": KEY, "MULETEER_LOG__FILTER": "warn",
                       "MULETEER_UPLOADS__SWEEP_INTERVAL_S": "86400"} | environment
        self.log = open(os.path.join(folder, "log.txt"), "w", encoding="utf-8")
        self.process = subprocess.Popen(words, cwd=folder, env=environment, stdin=subprocess.DEVNULL,
                                        stdout=subprocess.DEVNULL, stderr=self.log)
        self.cookies = {}
        for _ in range(600):
            try:
                self.ask("GET", "/health/live")
                return
            except OSError:
                time.sleep(0.1)
        self.stop()
        with open(self.log.name, encoding="utf-8") as log:
            raise SystemExit(f"the program does not start: {log.read()}")

    def ask(self, method, path, body=None):
        """Status, text and milliseconds of one request."""
        headers = {"Cookie": "; ".join(f"{name}={value}" for name, value in self.cookies.items())}
        if body is not None:
            body = urllib.parse.urlencode(body)
            headers["Content-Type"] = "application/x-www-form-urlencoded"
        began = time.perf_counter()
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=120)
        connection.request(method, path, body, headers)
        answer = connection.getresponse()
        text = answer.read().decode()
        taken = (time.perf_counter() - began) * 1000
        for name, value in re.findall(r"(\w+)=([^;]+);", "".join(answer.headers.get_all("set-cookie") or [])):
            if name.startswith("muleteer"):
                self.cookies[name] = value
        connection.close()
        return answer.status, text, taken

    def log_in(self):
        _, page, _ = self.ask("GET", "/admin/login")
        token = re.search(r'name="token" value="(\w+)"', page)[1]
        status, page, _ = self.ask("POST", "/admin/login", {"token": token, "next": "/admin", "key": KEY})
        if status != 303:
            raise SystemExit(f"no log-in: {status} {page}")

    def stop(self):
        self.process.terminate()
        self.process.wait()


def crockford(tail):
    value = int(tail, 16)
    return "".join("0123456789ABCDEFGHJKMNPQRSTVWXYZ"[(value >> shift) & 31] for shift in range(35, -5, -5))


def pages(count):
    """What is measured: a name, and the address for one upload of the million."""

    def search(kind, value, **filters):
        return lambda row: "/admin?" + urllib.parse.urlencode({"in": kind, "q": value(row)} | filters)

    column = lambda name: lambda row: row[name]
    cursor = lambda row: "/admin?before=" + row["id"]
    return [
        ("list, first page", lambda row: "/admin"),
        ("list, any page", cursor),
        ("state", lambda row: f"/admin?state={row['state']}&before={row['id']}"),
        ("protocol", lambda row: f"/admin?protocol={row['protocol']}&before={row['id']}"),
        ("protocol and state", lambda row: f"/admin?protocol={row['protocol']}&state={row['state']}&before={row['id']}"),
        ("older than 7 days", lambda row: "/admin?age=older-7d"),
        ("file name, exactly", search("exact", column("filename"))),
        ("file name, beginning of 8", search("name", lambda row: row["filename"][:8])),
        ("file name, beginning of a third of all", search("name", lambda row: "IMG_")),
        ("support code", search("code", lambda row: crockford(row["id"][-10:]))),
        ("owner", search("owner", column("owner"))),
        ("owner and state", search("owner", column("owner"), state="open")),
        ("owner, state and a rare protocol", search("owner", lambda row: "owner-1", state="complete", protocol="evaporate")),
        ("owner and a protocol that it never used", search("owner", lambda row: "owner-1", protocol="galileo")),
        ("IP address", search("address", column("client_ip"))),
        ("size", search("size", column("size"))),
        ("object key", search("key", column("object_key"))),
        ("S3 upload id", search("upload", column("multipart_id"))),
        ("anything: a name", search("", column("filename"))),
        ("anything: nothing", search("", lambda row: "no such thing")),
        ("an upload's page", lambda row: f"/admin/uploads/{row['id']}"),
        ("open bytes by owner", lambda row: "/admin/owners"),
    ]


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--uploads", type=int, default=1_000_000)
    parser.add_argument("--rounds", type=int, default=200)
    parser.add_argument("--postgres", metavar="URL")
    parser.add_argument("--program", default="target/release/muleteer")
    words = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="admin-bench.", dir=os.environ.get("BENCH_DIR")) as folder:
        environment = {"MULETEER_DATABASE__URL": words.postgres} if words.postgres else {}
        program = os.path.abspath(words.program)
        # The tables are the program's own.
        Program(program, folder, **environment).stop()
        began = time.time()
        if words.postgres:
            seed_postgres(words.postgres, words.uploads)
        else:
            seed_sqlite(os.path.join(folder, "muleteer.sqlite"), words.uploads)
        print(f"{words.uploads} uploads were seeded in {time.time() - began:.0f} s")
        server = Program(program, folder, **environment)
        try:
            server.log_in()
            measure(server, words)
        finally:
            server.stop()


def measure(server, words):
    chance = random.Random(1)
    print(f"| {'page':<42} | p50 ms | p99 ms |\n|---|---:|---:|")
    for name, address in pages(words.uploads):
        taken = []
        for _ in range(words.rounds):
            status, page, millis = server.ask("GET", address(upload(chance.randrange(words.uploads))))
            if status != 200:
                sys.exit(f"{name}: {status} {page[:500]}")
            taken.append(millis)
        taken = sorted(taken[len(taken) // 10:])
        p99 = taken[min(len(taken) - 1, len(taken) * 99 // 100)]
        print(f"| {name:<42} | {statistics.median(taken):.1f} | {p99:.1f} |", flush=True)


if __name__ == "__main__":
    main()
