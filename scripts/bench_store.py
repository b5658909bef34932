#!/usr/bin/env python3
"""The store against VictoriaMetrics over the same rows in one run: prints a table, writes target/bench-store/result.md.

Parts: `year` (150 sources at 15 minutes with three numbers, by the load tool), `queries` (over what `year` left), `jittered` (150 sources each
minute with one number, by jittered.py). We get the rows through a broker, VictoriaMetrics by its HTTP API. Both are settled before they are
measured: our last days come as they do in life, a commit for each round, VictoriaMetrics gets a forced flush and a forced merge.
"""
import argparse
import atexit
import http.client
import json
import os
import re
import shutil
import sqlite3
import statistics
import subprocess
import sys
import time
import urllib.parse

import bench
import jittered

bench.OUT = OUT = "target/bench-store"
PARTS = ("year", "queries", "jittered")
DAY = 86_400
PER_DAY = DAY // bench.STEP
# So many messages may wait at the broker: it keeps 64 MB, and then drops.
AHEAD = 150_000
# Days that come as in life, after a restart.
LIVE_DAYS = 3
ONE_NUMBER = re.sub(r"(?m)^also = .*\n", "", bench.CONFIG)


class Victoria:
    """VictoriaMetrics as Debian ships it, on the loopback, with a folder of its own."""

    def __init__(self, name, keep=False):
        self.folder = f"{OUT}/{name}"
        if not keep:
            shutil.rmtree(self.folder, ignore_errors=True)
        os.makedirs(self.folder, exist_ok=True)
        self.port = bench.free_port(18_428)
        cmd = ["victoria-metrics", f"-storageDataPath={self.folder}", f"-httpListenAddr=127.0.0.1:{self.port}", "-retentionPeriod=100y", "-loggerLevel=WARN"]
        self.p = subprocess.Popen(cmd, stdout=subprocess.DEVNULL, stderr=open(f"{OUT}/{name}.log", "w"))
        atexit.register(self.p.kill)
        bench.wait_for(lambda: self.p.poll() is not None or not bench.free(self.port), 30, "VictoriaMetrics")
        if self.p.poll() is not None:
            sys.exit(open(f"{OUT}/{name}.log").read())

    proc = bench.Heyun.proc
    rss_mb = bench.Heyun.rss_mb
    peak_mb = bench.Heyun.peak_mb
    written = bench.Heyun.written

    def ask(self, path, body=None):
        c = http.client.HTTPConnection("127.0.0.1", self.port, timeout=600)
        c.request("GET" if body is None else "POST", path, body)
        r = c.getresponse()
        answer = r.read().decode()
        c.close()
        if r.status >= 300:
            sys.exit(f"error: VictoriaMetrics answers {r.status} to {path}: {answer[:500]}")
        return answer

    def metric(self, pattern):
        return sum(float(m) for m in re.findall(rf"(?m)^{pattern} (\S+)$", self.ask("/metrics")))

    def numbers(self):
        """How many are stored."""
        return int(self.metric(r'vm_rows\{type="storage/(?:big|small)"\}'))

    def flush(self):
        self.ask("/internal/force_flush")
        self.quiet()

    def merge(self):
        """Makes one part of every month."""
        self.ask("/internal/force_merge")
        self.quiet()

    def quiet(self):
        """Returns when nothing is merged any more, and what is in memory is on disk: it lets that wait for seconds."""
        last, same, end = None, 0, time.monotonic() + 300
        while same < 10:
            time.sleep(0.3)
            busy = self.metric("vm_active_force_merges") + self.metric(r'vm_active_merges\{type="[^"]+"\}') + self.metric(r'vm_pending_rows\{type="[^"]+"\}')
            now, known = size(self.folder)[0], self.metric(r'vm_data_size_bytes\{type="[^"]+"\}')
            last, same = now, same + 1 if now == last and not busy and now >= known else 0
            if time.monotonic() > end:
                sys.exit("error: VictoriaMetrics writes for more than five minutes")

    def stop(self):
        self.p.terminate()
        self.p.wait(60)


def size(folder):
    """Bytes of all files in a folder, and of the blocks that they take."""
    files = [os.lstat(os.path.join(at, name)) for at, _, names in os.walk(folder) for name in names]
    return sum(f.st_size for f in files), sum(f.st_blocks for f in files) * 512


def sizes(args, h, rows):
    """What a stopped daemon's file consists of, per reading."""
    stats = json.loads(subprocess.run([args.heyun, "store", "stats", "--config", f"{h.folder}/heyun.toml", "--format", "json"], capture_output=True, text=True, check=True).stdout)
    tables = {t["name"]: t["bytes"] for t in stats["tables"]}
    if stats["readings"] != rows:
        sys.exit(f"error: {stats['readings']} rows of {rows} are stored")
    db = sqlite3.connect(f"file:{h.db}?mode=ro", uri=True)
    sealed, = db.execute("SELECT coalesce(sum(n), 0) FROM chunks").fetchone()
    hot, hot_ms = db.execute("SELECT count(*), (max(key) >> 20) - (min(key) >> 20) FROM readings").fetchone()
    db.close()
    if sealed + hot != rows:
        sys.exit(f"error: {sealed} sealed and {hot} hot rows are not {rows}")
    # An orderly stop leaves no log beside it.
    file = os.path.getsize(h.db)
    free = file - sum(tables.values())
    unpacked = sum(n for name, n in tables.items() if name.startswith("hot_"))
    return {
        "disk": file / rows,
        "sealed": (file - free - unpacked) / max(sealed, 1),
        "batch": rows / stats["batches"],
        "hot_days": hot_ms / 1000 / DAY,
        "hot_row": unpacked / max(hot, 1),
        "tables": {name: n / rows for name, n in sorted(tables.items(), key=lambda t: -t[1]) if n / rows >= 0.005} | {"free and page map": free / rows},
    }


def ours(args, name, publish, rounds, live, meters, config):
    """Fills a store by `publish(broker, first, rounds)` and measures. Of the rounds the last `live[0]` come after a restart, `live[1]` at a time: fewer
    rows than a history that is loaded has in a commit. The daemon is stopped at the end."""
    rows, fill = rounds * bench.SOURCES, rounds - live[0]
    broker = bench.Broker(f"{name}-broker")
    h = bench.Heyun(args.heyun, broker, name, meters=meters, config=config)
    began, written, cpu = time.monotonic(), h.written(), h.cpu_s()
    publish(h, broker, 0, fill)
    h.wait_rows(fill * bench.SOURCES, 120)
    out = {"seconds": time.monotonic() - began, "peak": h.peak_mb(), "cpu": (h.cpu_s() - cpu) * 100_000 / rows}
    # Its last writes come when it ends; a process that has ended tells nothing of them. The log is small beside a year.
    out["written"] = (h.written() - written) / (fill * bench.SOURCES)
    h.stop()
    out["loaded"] = os.path.getsize(h.db) / (fill * bench.SOURCES)
    h = bench.Heyun(args.heyun, broker, name, keep=True, meters=meters, config=config.replace("[store]", '[store]\nlinger = "100ms"'))
    out["ready"], out["idle"], written = h.ready_s, h.rss_mb(), h.written()
    for i in range(fill, rounds, live[1]):
        some = min(live[1], rounds - i)
        publish(h, broker, i, some)
        h.wait_rows((i + some) * bench.SOURCES, 30)
    out["peak"], out["live"] = max(out["peak"], h.peak_mb()), (h.written() - written) / (live[0] * bench.SOURCES)
    h.stop()
    broker.stop()
    out |= sizes(args, h, rows)
    bench.say(f"heyun: {out['seconds']:.0f} s, CPU {out['cpu']:.2f} s/100 000, {out['disk']:.2f} B a reading ({out['hot_days']:.1f} hot days; {out['sealed']:.2f} B without), "
              f"written {out['written']:.0f} B ({out['live']:.0f} B live) at {out['batch']:.0f} a commit, READY in {out['ready']:.2f} s, resident {out['idle']:.1f} MB idle, {out['peak']:.1f} MB peak")
    bench.say("of which " + ", ".join(f"{name} {n:.2f}" for name, n in out["tables"].items()))
    return out


def theirs(name, load, rows, numbers):
    """The same for VictoriaMetrics, by `load(vm)`; `numbers` are in a row."""
    vm = Victoria(f"{name}-vm")
    began, written = time.monotonic(), vm.written()
    load(vm)
    vm.flush()
    out = {"seconds": time.monotonic() - began, "as_it_stands": size(vm.folder)[0] / rows}
    vm.merge()
    out["written"], out["peak"] = (vm.written() - written) / rows, vm.peak_mb()
    bytes_, blocks = size(vm.folder)
    out["disk"], out["blocks"] = bytes_ / rows, blocks / rows
    out["data"] = (size(f"{vm.folder}/data")[0]) / rows
    if vm.numbers() != rows * numbers:
        sys.exit(f"error: VictoriaMetrics has {vm.numbers()} numbers of {rows * numbers}")
    vm.stop()
    vm = Victoria(f"{name}-vm", keep=True)
    time.sleep(2)
    out["idle"] = vm.rss_mb()
    vm.stop()
    bench.say(f"VictoriaMetrics: {out['seconds']:.0f} s, {out['disk']:.2f} B a reading ({out['as_it_stands']:.2f} before the forced merge, {out['blocks']:.2f} in whole blocks, "
              f"{out['data']:.2f} without its index), written {out['written']:.1f} B, resident {out['idle']:.0f} MB idle, {out['peak']:.0f} MB peak")
    return out


def table(title, we, vm, limit, days):
    ratio, sealed = we["disk"] / vm["disk"], we["sealed"] / vm["disk"]
    # By the clock all of these rows are old, so that they are packed as fast as they are folded. In life the newest two days are not.
    alive = we["sealed"] * (1 - 2 / days) + we["hot_row"] * 2 / days
    return [
        (f"{title}: on disk per reading", f"{we['disk']:.2f} B", f"{vm['disk']:.2f} B", f"{ratio:.2f} ×", f"≤ {limit} ×", ratio <= limit),
        (f"… without the {we['hot_days']:.1f} newest days, which are not packed yet", f"{we['sealed']:.2f} B", f"{vm['disk']:.2f} B", f"{sealed:.2f} ×", f"≤ {limit} ×", sealed <= limit),
        ("… with two days of rows that are not packed, as in life", f"{alive:.2f} B", f"{vm['disk']:.2f} B", f"{alive / vm['disk']:.2f} ×", "", None),
        ("… right after it was loaded", f"{we['loaded']:.2f} B", f"{vm['disk']:.2f} B", f"{we['loaded'] / vm['disk']:.2f} ×", f"≤ {limit} ×", we["loaded"] / vm["disk"] <= limit),
        ("… a row of the newest days", f"{we['hot_row']:.1f} B", "", "", "", None),
        ("… in whole blocks; before a forced merge", "", f"{vm['blocks']:.2f} B; {vm['as_it_stands']:.2f} B", "", "", None),
        (f"… written per reading while it came in ({we['batch']:.0f} a commit)", f"{we['written']:.0f} B", f"{vm['written']:.1f} B", "", "≤ 130 B", we["written"] <= 130),
        ("… written per reading of the last days, a commit for each round or three", f"{we['live']:.0f} B", "", "", "", None),
        ("… resident, idle", f"{we['idle']:.1f} MB", f"{vm['idle']:.0f} MB", "", "≤ 16 MB", we["idle"] <= 16),
        ("… resident, peak", f"{we['peak']:.1f} MB", f"{vm['peak']:.0f} MB", "", "≤ 24 MB", we["peak"] <= 24),
        ("… READY", f"{we['ready']:.2f} s", "", "", "≤ 0.3 s", we["ready"] <= 0.3),
    ]


def year(args):
    rounds, meters = args.year_days * PER_DAY, bench.SOURCES - args.heat
    print(f"==> {args.year_days} days of {meters} meters and {args.heat} heating valves at 15 minutes ({rounds * bench.SOURCES:,} messages)", flush=True)

    def publish(h, broker, first, count):
        while count:
            some = min(count, AHEAD // bench.SOURCES)
            bench.publish(args, broker, some, "--skip", str(first), meters=meters, valves=args.heat)
            first, count = first + some, count - some
            h.wait_rows(max(first * bench.SOURCES - AHEAD, 0), 120)

    def load(vm):
        cmd = [args.mqttload, "lines", "--meters", str(meters), "--heat", str(args.heat), "--readings", str(rounds), "--post", f"127.0.0.1:{vm.port}/write"]
        subprocess.run(cmd, check=True, timeout=900, stderr=subprocess.DEVNULL)

    we = ours(args, "year", publish, rounds, (LIVE_DAYS * PER_DAY, 1), meters, bench.CONFIG)
    return table(f"{args.year_days} days of 150 sources at 15 minutes, three numbers", we, theirs("year", load, rounds * bench.SOURCES, 3), 1, args.year_days)


def jittered_minutes(args):
    rounds = args.jittered_days * jittered.MINUTES_PER_DAY
    print(f"==> {args.jittered_days} days of jittered minutes ({rounds * bench.SOURCES:,} messages)", flush=True)
    rows = jittered.rounds(rounds)

    def publish(h, broker, first, count):
        to = jittered.Publisher(broker.port)
        for n in range(first, first + count):
            to.send(next(rows))
            if n % 200 == 199:
                h.wait_rows((n + 1) * bench.SOURCES - AHEAD, 120)
        to.close()

    def load(vm):
        some = []
        for n, r in enumerate(jittered.rounds(rounds)):
            some.append(jittered.lines(r))
            if len(some) == 200 or n == rounds - 1:
                vm.ask("/write", b"".join(some))
                some = []

    we = ours(args, "jittered", publish, rounds, (LIVE_DAYS * jittered.MINUTES_PER_DAY, 3), jittered.COUNTERS, ONE_NUMBER)
    return table(f"{args.jittered_days} days of 150 sources each minute ± 2 s, one number", we, theirs("jittered", load, rounds * bench.SOURCES, 1), 1.2, args.jittered_days)


def took(asked, times):
    """For each (port, path) median and longest of so many warm requests over one connection, in ms; the same for None. They are asked in turn, so
    that a machine whose speed drifts is as slow for the one as for the other. `{n}` in a path is another number each time, so that no answer is
    one that was kept."""
    connections = [a and http.client.HTTPConnection("127.0.0.1", a[0], timeout=60) for a in asked]
    all_ms, length = [[] for _ in asked], [0 for _ in asked]
    for n in range(times + 3):
        for i, c in enumerate(connections):
            if not c:
                continue
            began = time.perf_counter()
            c.request("GET", asked[i][1].replace("{n}", f"{n:03}"))
            r = c.getresponse()
            body = r.read()
            all_ms[i].append((time.perf_counter() - began) * 1_000)
            length[i] = len(body)
            if r.status != 200:
                sys.exit(f"error: {r.status} to {asked[i][1]}: {body[:500]}")
    return [c and {"median": statistics.median(ms[3:]), "longest": max(ms[3:]), "bytes": n} for c, ms, n in zip(connections, all_ms, length)]


def queries(args):
    meters = bench.SOURCES - args.heat
    if not os.path.exists(f"{OUT}/year/heyun.db"):
        sys.exit("error: no year is there; run the part `year` first")
    print(f"==> questions over HTTP, {args.times} each", flush=True)
    broker = bench.Broker("year-broker")
    h = bench.Heyun(args.heyun, broker, "year", keep=True, meters=meters)
    vm = Victoria("year-vm", keep=True)
    # Days and months of the gateway's zone, eight hours before UTC's.
    begin = bench.BEGINS - 8 * 3_600
    end = bench.BEGINS + args.year_days * DAY
    months = args.year_days // 30
    range_of = lambda query, start, stop, step, more="": "/api/v1/query_range?" + urllib.parse.urlencode({"query": query, "start": start, "end": stop, "step": step}) + more
    span = lambda to: f"/api/v1/meters/w0042/%s?from={(to - DAY) * 1000}&to={to * 1000}"
    stored = lambda to, name="": "/api/v1/export?" + urllib.parse.urlencode({"match[]": name + '{id="w0042"}', "start": to - DAY, "end": to - 1})
    old = end - args.year_days // 2 * DAY
    by_day = range_of('increase(water_total_l{id="w0042"}[1d])', begin + DAY, end, "1d")
    by_month = range_of("increase(water_total_l[30d])", begin + 30 * DAY, begin + 30 * DAY * months, "30d")
    rows = []
    for what, we, they, limit in [
        ("one meter, 24 h, every reading with its three numbers", span(end) % "readings", stored(end), 1),
        ("… of half the time ago", span(old) % "readings", stored(old), None),
        ("… as flow (VictoriaMetrics: the register as stored)", span(end) % "flow" + "&resolution=raw&limit=1{n}", stored(end, "water_total_l"), None),
        ("one meter, the year by day, asked again: both have the answer", f"/api/v1/meters/w0042/flow?from={begin * 1000}&to={end * 1000}&resolution=day", by_day, 1),
        ("… asked anew: neither has", f"/api/v1/meters/w0042/flow?from={begin * 1000}&to={end - 1}{{n}}&resolution=day", by_day + "&nocache=1", 1),
        ("150 meters, monthly totals", f"/api/v1/totals?by=month&from={begin * 1000}&to={end * 1000}", by_month, 0.25),
        ("… VictoriaMetrics without its cache of answers", None, by_month + "&nocache=1", None),
    ]:
        a, b = took([we and (h.http, we), (vm.port, they)], args.times)
        words = lambda t: f"{t['median']:.2f} ms ({t['longest']:.1f}), {t['bytes'] / 1000:.1f} kB"
        ratio = a and a["median"] / b["median"]
        rows.append((
            what, words(a) if a else "", words(b), f"{ratio:.2f} ×" if a else "", f"≤ {limit} ×" if limit else "", ratio <= limit if a and limit else None,
        ))
        bench.say(" | ".join(rows[-1][:4]))
    rows.append(("resident after the questions, peak", f"{h.peak_mb():.1f} MB", f"{vm.peak_mb():.0f} MB", "", "≤ 24 MB", h.peak_mb() <= 24))
    h.stop()
    vm.stop()
    broker.stop()
    return rows


def main():
    ap = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    ap.add_argument("--heyun", required=True)
    ap.add_argument("--mqttload", required=True)
    ap.add_argument("--parts", default=",".join(PARTS), help="some of: " + ",".join(PARTS))
    ap.add_argument("--days", type=int, help="shortens both loads")
    ap.add_argument("--heat", type=int, default=0, help="so many of the 150 sources of the year are heating valves, not meters")
    ap.add_argument("--times", type=int, default=101, help="each question is asked so often")
    args = ap.parse_args()
    args.year_days, args.jittered_days = args.days or 365, args.days or 70
    parts = args.parts.split(",")
    if wrong := set(parts) - set(PARTS):
        sys.exit(f"error: no part is called {', '.join(sorted(wrong))}; there are {', '.join(PARTS)}")
    os.makedirs(OUT, exist_ok=True)

    rows = [row for part, run in [("year", year), ("queries", queries), ("jittered", jittered_minutes)] if part in parts for row in run(args)]
    lines = ["| what | heyun | VictoriaMetrics | ratio | target | |", "| --- | --- | --- | --- | --- | --- |"]
    lines += [f"| {' | '.join(words)} | {'' if ok is None else 'yes' if ok else 'NO'} |" for *words, ok in rows]
    print("\n" + "\n".join(lines))
    open(f"{OUT}/result.md", "w").write("\n".join(lines) + "\n")
    sys.exit(1 if any(row[-1] is False for row in rows) else 0)


if __name__ == "__main__":
    main()
