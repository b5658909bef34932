#!/usr/bin/env python3
"""`heyun export` against `sqlite3 -csv` over the same rows, alternating in one run: prints a table, writes target/bench-export/result.md.

A store of 1 500 000 messages (150 sources, 100 of them meters, three numbers each) is filled through a broker once and kept (--fresh fills it
anew). sqlite3 is asked for the plain rows of the table, all columns, which is its fastest way to all of a store's content; and for rows with
the same cells as ours, by joins. A third pair leaves out everything but time, source and the register.
"""
import argparse
import hashlib
import os
import re
import statistics
import subprocess
import sys
import threading
import time
import urllib.request

import bench

bench.OUT = OUT = "target/bench-export"
READINGS = 10_000
DB, CONFIG = f"{OUT}/store/heyun.db", f"{OUT}/store/heyun.toml"

PLAIN = "SELECT * FROM readings"
LEAN = "SELECT ts, source, v0 FROM readings WHERE source IN (SELECT source FROM sources WHERE topic LIKE 'meters/%')"
# What `--kind raw --lang en` writes, as far as SQL can: the time with its offset, the register in m³, the cells of the metering point.
SAME_RAW = """
WITH m AS (SELECT source, substr(topic, 8, 5) AS id FROM sources WHERE topic LIKE 'meters/%')
SELECT '' AS community, 'bench' AS compound, 'b' AS building, '' AS unit, '' AS household, m.id AS meter, m.id AS name, '' AS serial, 'bulk' AS kind,
       strftime('%Y-%m-%dT%H:%M:%S+08:00', r.ts / 1000 + 28800, 'unixepoch') AS time, r.v0 / 1000000.0 AS register_m3, 'measured' AS quality
FROM readings r CROSS JOIN m ON m.source = r.source ORDER BY r.key"""
SAME_VALUES = "SELECT * FROM v_readings"


def fill(args):
    broker = bench.Broker("broker")
    h = bench.Heyun(args.heyun, broker, "store")
    bench.publish(args, broker, READINGS, "--max-seconds", "300")
    h.wait_rows(READINGS * bench.SOURCES, 120)
    h.stop()
    broker.stop()


def run(cmd):
    """Seconds, peak resident MB, lines and bytes of stdout, which goes to a file in memory."""
    out = f"/dev/shm/bench-export-{os.getpid()}"
    with open(out, "wb") as f:
        began = time.monotonic()
        p = subprocess.Popen(cmd, stdout=f, stderr=subprocess.PIPE)
        peak = [0]

        def watch():
            # VmHWM only grows, so the last look is the one that counts.
            while p.returncode is None:
                try:
                    peak[0] = max(peak[0], int(re.search(r"VmHWM:\s*(\d+)", open(f"/proc/{p.pid}/status").read()).group(1)))
                except (AttributeError, FileNotFoundError, ProcessLookupError):
                    pass
                time.sleep(0.002)

        t = threading.Thread(target=watch)
        t.start()
        err = p.stderr.read()
        _, status, usage = os.wait4(p.pid, 0)
        seconds = time.monotonic() - began
        code = p.returncode = os.waitstatus_to_exitcode(status)
        t.join()
    if code:
        sys.exit(f"error: {cmd[0]} ended with {code}: {err.decode()}")
    data = open(out, "rb").read()
    os.remove(out)
    return {"cpu": usage.ru_utime + usage.ru_stime, "seconds": seconds, "peak": peak[0] / 1024, "lines": data.count(b"\n"), "bytes": len(data), "sha": hashlib.sha256(data).hexdigest()}


def beside(args):
    """What the daemon's other questions take while two exports run, and what these add to its memory."""
    broker = bench.Broker("broker")
    h = bench.Heyun(args.heyun, broker, "store", keep=True)
    base = f"http://127.0.0.1:{h.http}/api/v1"
    questions = [f"{base}/meters/w{i:04}/readings?from=2025-02-0{1 + i % 8}&to=2025-02-0{2 + i % 8}" for i in range(100)]

    def ask():
        took = []
        for q in questions:
            began = time.monotonic()
            urllib.request.urlopen(q, timeout=30).read()
            took.append((time.monotonic() - began) * 1_000)
        return statistics.median(took), max(took)

    ask()
    alone, idle = ask(), h.rss_mb()
    stop, sizes = threading.Event(), []

    def export():
        while not stop.is_set():
            size = 0
            with urllib.request.urlopen(f"{base}/export?lang=en", timeout=60) as body:
                while chunk := body.read(1 << 16):
                    size += len(chunk)
                    if stop.is_set():
                        return
            sizes.append(size)

    threads = [threading.Thread(target=export) for _ in range(2)]
    [t.start() for t in threads]
    bench.wait_for(lambda: sizes, 120, "an export over HTTP")
    busy = ask()
    grown = h.peak_mb() - idle
    stop.set()
    [t.join() for t in threads]
    h.stop()
    broker.stop()
    return [
        f"A meter's day over HTTP: {alone[0]:.1f} ms (longest of 100: {alone[1]:.1f} ms); beside two exports without a pause {busy[0]:.1f} ms ({busy[1]:.1f} ms).",
        f"The daemon's memory, idle {idle:.1f} MB, grew by {grown:.1f} MB at most.",
    ]


def main():
    ap = argparse.ArgumentParser(description=__doc__)
    ap.add_argument("--heyun", required=True)
    ap.add_argument("--mqttload", required=True)
    ap.add_argument("--pairs", type=int, default=5)
    ap.add_argument("--fresh", action="store_true")
    args = ap.parse_args()
    os.makedirs(OUT, exist_ok=True)
    if args.fresh or not os.path.exists(DB):
        print(f"==> filling a store with {READINGS * bench.SOURCES:,} messages", flush=True)
        fill(args)
    ours = lambda kind, *more: [args.heyun, "export", "--config", CONFIG, "--kind", kind, "--lang", "en", *more]
    theirs = lambda sql: ["sqlite3", "-readonly", "-csv", DB, sql]
    rows = []
    # What the program needs before it writes a row: an export of nothing.
    nothing = run(ours("raw", "--to", "1990-01-01"))
    for title, a, b in [
        ("raw: the meters' 1 000 000 readings, against the same cells by joins", ours("raw"), theirs(SAME_RAW)),
        ("raw, against time, source and register alone", ours("raw"), theirs(LEAN)),
        ("values: all 4 500 000 numbers of 1 500 000 messages, against v_readings", ours("values"), theirs(SAME_VALUES)),
        ("values, against the 1 500 000 rows of the plain table", ours("values"), theirs(PLAIN)),
        ("daily: 100 meters, 104 days, against the plain table", ours("daily"), theirs(PLAIN)),
    ]:
        print(f"==> {title}", flush=True)
        pairs = []
        for _ in range(args.pairs):
            x, y = run(a), run(b)
            print(f"    {x['seconds']:.2f} s (CPU {x['cpu']:.2f}), {x['lines']:,} lines; sqlite3 {y['seconds']:.2f} s (CPU {y['cpu']:.2f}), {y['lines']:,} lines", flush=True)
            pairs.append((x, y))
        if len({x["sha"] for x, _ in pairs}) != 1:
            sys.exit("error: two exports of the same commit differ")
        ratio = statistics.median(y["seconds"] / x["seconds"] for x, y in pairs)
        cpu = statistics.median(y["cpu"] / x["cpu"] for x, y in pairs)
        seconds = statistics.median(x["seconds"] for x, _ in pairs)
        peak = max(x["peak"] for x, _ in pairs)
        grown = peak - nothing["peak"]
        rows.append((title, f"{seconds:.2f} s", f"{ratio:.1f} × ({cpu:.1f} ×)", f"{peak:.1f} MB (+{grown:.1f})", "yes" if ratio >= 2 and grown <= 8 else "NO"))
    lines = ["| what | seconds | than `sqlite3 -csv` (by CPU time) | peak resident (above an export of nothing) | ≥ 2 ×, ≤ 8 MB |", "| --- | --- | --- | --- | --- |"]
    lines += ["| " + " | ".join(row) + " |" for row in rows]
    lines += ["", *beside(args)]
    print("\n" + "\n".join(lines))
    open(f"{OUT}/result.md", "w").write("\n".join(lines) + "\n")


if __name__ == "__main__":
    main()
