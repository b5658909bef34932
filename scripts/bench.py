#!/usr/bin/env python3
"""The daemon against the limits and against itself, in one run: prints a table, writes target/bench/result.md.

Standard library only. Every load goes to 127.0.0.1, is bounded in count and time, and uses a broker of its own with the shipped config.
"""
import argparse
import json
import os
import re
import shutil
import signal
import socket
import sqlite3
import statistics
import subprocess
import sys
import time

OUT = "target/bench"
METERS, VALVES = 100, 50
SOURCES = METERS + VALVES


def say(text):
    print(f"    {text}", flush=True)


def free_port(port):
    while True:
        with socket.socket() as s:
            if s.connect_ex(("127.0.0.1", port)):
                return port
        port += 1


class Broker:
    def __init__(self, name):
        self.port = free_port(18860)
        folder = f"{OUT}/{name}"
        os.makedirs(folder, exist_ok=True)
        conf = open("config/mosquitto.conf").read()
        conf = re.sub(r"(?m)^listener .*", f"listener {self.port} 127.0.0.1", conf)
        conf += f"persistence_location {os.getcwd()}/{folder}/\n" + ("user root\n" if os.getuid() == 0 else "")
        open(f"{folder}/mosquitto.conf", "w").write(conf)
        env = dict(os.environ, PATH=os.environ["PATH"] + ":/usr/sbin")
        self.p = subprocess.Popen(["mosquitto", "-c", f"{folder}/mosquitto.conf"], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, env=env)
        wait_for(lambda: not free(self.port), 5, "the broker")

    def stop(self):
        self.p.terminate()
        self.p.wait(10)


def free(port):
    with socket.socket() as s:
        return s.connect_ex(("127.0.0.1", port)) != 0


def wait_for(ready, seconds, what):
    end = time.monotonic() + seconds
    while not ready():
        if time.monotonic() > end:
            sys.exit(f"error: {what} did not come within {seconds} s")
        time.sleep(0.005)


CONFIG = """
[gateway]
id = "bench-1"
timezone = "Asia/Shanghai"
[[compounds]]
id = "bench"
name = "bench"
[[buildings]]
id = "b"
name = "b"
[store]
path = "{db}"
[web]
listen = "127.0.0.1:{http}"
[mqtt]
url = "mqtt://127.0.0.1:{mqtt}"
[[mqtt.subscriptions]]
name = "meters"
topic = "meters/+/state"
format = "json"
value = "/total_l"
unit = "L"
time = "/ts"
also = [{{ name = "flow", value = "/flow_lph", unit = "L/h" }}, {{ name = "battery", value = "/battery", unit = "%" }}]
[[mqtt.subscriptions]]
name = "heat"
topic = "heat/+/state"
format = "json"
value = "/supply_c"
unit = "°C"
time = "/ts"
also = [{{ name = "return", value = "/return_c", unit = "°C" }}, {{ name = "valve", value = "/valve_pct", unit = "%" }}]
"""


class Heyun:
    """A daemon with every rule on: 100 meters with hourly, monthly and silence limits, 50 heating valves stored beside them."""

    def __init__(self, binary, broker, name, keep=False):
        self.folder = f"{OUT}/{name}"
        if not keep:
            shutil.rmtree(self.folder, ignore_errors=True)
        os.makedirs(self.folder, exist_ok=True)
        self.db, self.http = f"{self.folder}/heyun.db", free_port(18480)
        config = CONFIG.format(db=self.db, http=self.http, mqtt=broker.port)
        for i in range(METERS):
            config += (
                f'[[meters]]\nid = "w{i:04}"\nname = "w{i:04}"\nkind = "bulk"\nat = "b"\nsubscription = "meters"\ndevice = "w{i:04}"\n'
                'limits = { litres_per_hour = 5000, tonnes_per_month = 1000, silent_after = "7d" }\n'
            )
        open(f"{self.folder}/heyun.toml", "w").write(config)
        self.log = open(f"{self.folder}/log", "w")
        began = time.monotonic()
        env = dict(os.environ, MALLOC_ARENA_MAX="1")
        self.p = subprocess.Popen([binary, "run", "--config", f"{self.folder}/heyun.toml"], stderr=self.log, env=env)
        wait_for(lambda: self.p.poll() is not None or "READY" in open(f"{self.folder}/log").read(), 60, "READY")
        if self.p.poll() is not None:
            sys.exit(open(f"{self.folder}/log").read())
        self.ready_s = time.monotonic() - began
        wait_for(lambda: "connected to the broker" in open(f"{self.folder}/log").read(), 10, "the connection")

    def proc(self, name, key):
        return int(re.search(rf"(?m)^{key}:\s*(\d+)", open(f"/proc/{self.p.pid}/{name}").read()).group(1))

    def cpu_s(self):
        fields = open(f"/proc/{self.p.pid}/stat").read().rsplit(")", 1)[1].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")

    def rss_mb(self):
        return self.proc("status", "VmRSS") / 1024

    def peak_mb(self):
        return self.proc("status", "VmHWM") / 1024

    def written(self):
        return self.proc("io", "write_bytes")

    def rows(self):
        db = sqlite3.connect(f"file:{self.db}?mode=ro", uri=True)
        try:
            return db.execute("SELECT coalesce(sum(rows), 0) FROM commits").fetchone()[0]
        finally:
            db.close()

    def wait_rows(self, rows, seconds):
        wait_for(lambda: self.rows() >= rows, seconds, f"row {rows} (at {self.rows()})")

    def stop(self):
        self.p.send_signal(signal.SIGTERM)
        code = self.p.wait(20)
        if code:
            sys.exit(f"error: the daemon ended with {code}; see {self.folder}/log")


def publish(args, broker, readings, *more):
    cmd = [args.mqttload, "pub", "--meters", str(METERS), "--heat", str(VALVES), "--readings", str(readings), "--qos", "1", "--port", str(broker.port), *more]
    return json.loads(subprocess.run(cmd, capture_output=True, text=True, check=True, timeout=900).stdout)


def count(args, broker, readings):
    """The bare subscriber: takes every message and does nothing with it."""
    total = SOURCES * readings
    cmd = [args.mqttload, "count", "--expect", str(total), "--qos", "1", "--port", str(broker.port), "--idle", "10"]
    sub = subprocess.Popen(cmd, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    for line in sub.stderr:
        if "subscribed" in line:
            break
    publish(args, broker, readings)
    out = json.loads(sub.communicate(timeout=120)[0])
    if out["received"] != total:
        sys.exit(f"error: the bare counter got {out['received']} of {total}")
    return out


def pair(args, n, readings):
    """One run of each, the bare counter first; the same load, a fresh broker each."""
    total = SOURCES * readings
    broker = Broker(f"count-{n}")
    bare = count(args, broker, readings)
    broker.stop()
    broker = Broker(f"heyun-{n}")
    h = Heyun(args.heyun, broker, f"pair-{n}")
    cpu, written, began = h.cpu_s(), h.written(), time.monotonic()
    publish(args, broker, readings)
    # The last few, fewer than a window of 20, wait for the linger by design: they are checked below, not timed.
    h.wait_rows(total - 19, 120)
    seconds = time.monotonic() - began
    run = {
        "rate": (total - 19) / seconds,
        "bare_rate": total / bare["seconds"],
        "ratio": (total - 19) / total * bare["seconds"] / seconds,
        "cpu": (h.cpu_s() - cpu) * 100_000 / total,
        "bare_cpu": bare["cpu_s"] * 100_000 / total,
        "written": (h.written() - written) / total,
        "peak": h.peak_mb(),
    }
    h.wait_rows(total, 30)
    if h.rows() != total:
        sys.exit(f"error: {h.rows()} rows of {total}")
    h.stop()
    broker.stop()
    say(f"pair {n}: bare {run['bare_rate']:,.0f}/s, heyun {run['rate']:,.0f}/s, ratio {run['ratio']:.2f}, CPU {run['cpu']:.2f} s/100 000, "
        f"written {run['written']:.0f} B, peak {run['peak']:.1f} MB")
    return run


def trickle(args):
    """Five messages a second for 90 seconds: what an SD card feels."""
    broker = Broker("trickle")
    h = Heyun(args.heyun, broker, "trickle")
    idle = h.rss_mb()
    # Every source is heard once before: that it exists is written once in its life. The tool begins anew, so its first round repeats.
    known = publish(args, broker, 1)["sent"]
    h.wait_rows(known, 30)
    written, cpu = h.written(), h.cpu_s()
    publish(args, broker, 4, "--rate", "5")
    h.wait_rows(4 * known, 30)
    out = {"idle": idle, "written": (h.written() - written) / (3 * known), "cpu": h.cpu_s() - cpu}
    h.stop()
    broker.stop()
    return out


def year(args):
    """A year of 150 sources at 15 minutes, through the broker; then starts with and without a checkpoint."""
    total = SOURCES * 35_040
    broker = Broker("year")
    h = Heyun(args.heyun, broker, "year")
    began, written = time.monotonic(), h.written()
    publish(args, broker, 35_040, "--max-seconds", "600")
    h.wait_rows(total, 300)
    out = {"seconds": time.monotonic() - began, "written": (h.written() - written) / total, "load_peak": h.peak_mb()}
    h.stop()
    out["disk"] = os.path.getsize(h.db) / total
    h = Heyun(args.heyun, broker, "year", keep=True)
    out["ready"], out["idle"] = h.ready_s, h.rss_mb()
    publish(args, broker, 200)
    time.sleep(6)
    out["peak"] = h.peak_mb()
    h.stop()
    db = sqlite3.connect(h.db)
    db.execute("DELETE FROM checkpoints")
    db.commit()
    db.close()
    h = Heyun(args.heyun, broker, "year", keep=True)
    out["ready_fold"] = h.ready_s
    h.stop()
    broker.stop()
    return out


def main():
    ap = argparse.ArgumentParser(description=__doc__)
    ap.add_argument("--heyun", required=True)
    ap.add_argument("--mqttload", required=True)
    ap.add_argument("--pairs", type=int, default=5)
    ap.add_argument("--readings", type=int, default=1_334, help="of each source; 1334 make 200 100 messages")
    ap.add_argument("--quick", action="store_true", help="without the year")
    args = ap.parse_args()
    shutil.rmtree(OUT, ignore_errors=True)
    os.makedirs(OUT)

    print(f"==> {args.pairs} pairs of {SOURCES * args.readings:,} messages at QoS 1: the bare counter, then the daemon", flush=True)
    runs = [pair(args, n + 1, args.readings) for n in range(args.pairs)]
    mid = lambda key: statistics.median(r[key] for r in runs)
    print("==> five messages a second for two minutes", flush=True)
    t = trickle(args)
    rows = [
        ("ingest at QoS 1, stored before acknowledged, against the bare counter", f"{mid('ratio'):.2f} ×", "≥ 0.9", mid("ratio") >= 0.9),
        ("… messages per second (the bare counter's)", f"{mid('rate'):,.0f} ({mid('bare_rate'):,.0f})", "", None),
        ("CPU per 100 000 messages (the bare counter's)", f"{mid('cpu'):.2f} s ({mid('bare_cpu'):.2f})", "≤ 1.0 s", mid("cpu") <= 1),
        ("written per reading, flat out", f"{mid('written'):.0f} B", "≤ 130", mid("written") <= 130),
        ("written per reading, 5 a second", f"{t['written']:.0f} B", "≤ 900", t["written"] <= 900),
        ("resident, idle", f"{t['idle']:.1f} MB", "≤ 16", t["idle"] <= 16),
        ("resident, peak flat out", f"{max(r['peak'] for r in runs):.1f} MB", "≤ 24", max(r["peak"] for r in runs) <= 24),
    ]
    if not args.quick:
        print("==> a year of 150 sources at 15 minutes (5 256 000 messages)", flush=True)
        y = year(args)
        rows += [
            ("a year of 150 sources through the broker", f"{y['seconds']:.0f} s", "", None),
            ("… written per reading", f"{y['written']:.0f} B", "≤ 130", y["written"] <= 130),
            ("… on disk per reading (nothing is compressed yet)", f"{y['disk']:.1f} B", "", None),
            ("READY with that year and a checkpoint", f"{y['ready']:.2f} s", "≤ 0.3", y["ready"] <= 0.3),
            ("READY with that year, no checkpoint", f"{y['ready_fold']:.1f} s", "≤ 10", y["ready_fold"] <= 10),
            ("resident with that year, idle", f"{y['idle']:.1f} MB", "≤ 16", y["idle"] <= 16),
            ("resident with that year, peak flat out", f"{max(y['peak'], y['load_peak']):.1f} MB", "≤ 24", max(y["peak"], y["load_peak"]) <= 24),
        ]
    lines = ["| what | measured | target | |", "| --- | --- | --- | --- |"]
    lines += [f"| {what} | {got} | {goal} | {'' if ok is None else 'yes' if ok else 'NO'} |" for what, got, goal, ok in rows]
    print("\n" + "\n".join(lines))
    open(f"{OUT}/result.md", "w").write("\n".join(lines) + "\n")
    sys.exit(1 if any(ok is False for *_, ok in rows) else 0)


if __name__ == "__main__":
    main()
