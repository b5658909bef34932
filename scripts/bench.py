#!/usr/bin/env python3
"""The daemon against the limits and against itself, in one run: prints a table, writes target/bench/result.md.

Standard library only. Every load goes to 127.0.0.1, is bounded in count and time, and uses a broker of its own with the shipped config.
"""
import argparse
import atexit
import json
import os
import re
import selectors
import shutil
import signal
import socket
import sqlite3
import statistics
import subprocess
import sys
import threading
import time

OUT = "target/bench"
METERS, VALVES = 100, 50
SOURCES = METERS + VALVES
STREAMS = 50
# The load tool's first time stamp (2025-01-01T00:00:00Z) and its step.
BEGINS, STEP = 1_735_689_600, 900
YEAR = 365 * 86_400 // STEP


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
        # Nothing of ours outlives us, however we end.
        atexit.register(self.p.kill)
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
    """A daemon with every rule on: meters with hourly, monthly and silence limits, heating valves stored beside them."""

    def __init__(self, binary, broker, name, keep=False, meters=METERS, config=CONFIG):
        self.folder = f"{OUT}/{name}"
        if not keep:
            shutil.rmtree(self.folder, ignore_errors=True)
        os.makedirs(self.folder, exist_ok=True)
        self.db, self.http = f"{self.folder}/heyun.db", free_port(18480)
        config = config.format(db=self.db, http=self.http, mqtt=broker.port)
        for i in range(meters):
            config += (
                f'[[meters]]\nid = "w{i:04}"\nname = "w{i:04}"\nkind = "bulk"\nat = "b"\nsubscription = "meters"\ndevice = "w{i:04}"\n'
                'limits = { litres_per_hour = 5000, tonnes_per_month = 1000, silent_after = "7d" }\n'
            )
        open(f"{self.folder}/heyun.toml", "w").write(config)
        self.log = open(f"{self.folder}/log", "w")
        began = time.monotonic()
        env = dict(os.environ, MALLOC_ARENA_MAX="1")
        self.p = subprocess.Popen([binary, "run", "--config", f"{self.folder}/heyun.toml"], stderr=self.log, env=env)
        atexit.register(self.p.kill)
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
            return db.execute("SELECT coalesce(max(total), 0) FROM commits").fetchone()[0]
        finally:
            db.close()

    def wait_rows(self, rows, seconds):
        wait_for(lambda: self.rows() >= rows, seconds, f"row {rows} (at {self.rows()})")

    def stop(self):
        self.p.send_signal(signal.SIGTERM)
        code = self.p.wait(20)
        if code:
            sys.exit(f"error: the daemon ended with {code}; see {self.folder}/log")


def publish(args, broker, readings, *more, meters=METERS, valves=VALVES):
    cmd = [args.mqttload, "pub", "--meters", str(meters), "--heat", str(valves), "--readings", str(readings), "--qos", "1", "--port", str(broker.port), *more]
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


CONTACT = """
[[sensors]]
id = "rope"
at = "b"
device = "rope"
subscription = "zigbee"
[[mqtt.subscriptions]]
name = "zigbee"
profile = "zigbee2mqtt"
"""


def contact(args, times=40):
    """From the start of mosquitto_pub to the incident on the live stream: a leak rope that gets wet, while meters send 200 messages a second."""
    broker = Broker("contact")
    h = Heyun(args.heyun, broker, "contact", config=CONFIG + CONTACT)
    stream = socket.create_connection(("127.0.0.1", h.http))
    stream.sendall(f"GET /api/v1/live HTTP/1.1\r\nHost: 127.0.0.1:{h.http}\r\n\r\n".encode())
    load = threading.Thread(target=publish, args=(args, broker, 20, "--rate", "200"))
    load.start()
    took, rest = [], b""
    for n in range(times):
        began = time.monotonic()
        for wet in ("true", "false"):
            subprocess.run(["mosquitto_pub", "-p", str(broker.port), "-q", "1", "-t", "zigbee2mqtt/rope", "-m", f'{{"water_leak":{wet}}}'], check=True)
            if wet == "true":
                while b'"leak_wet"' not in rest:
                    rest = rest[-64:] + stream.recv(1 << 16)
                took.append((time.monotonic() - began) * 1_000)
            else:
                # It is over: the next one is new.
                while b'"cleared"' not in rest:
                    rest = rest[-64:] + stream.recv(1 << 16)
            rest = b""
    load.join()
    h.stop()
    broker.stop()
    return {"median": statistics.median(took), "longest": max(took)}


class Viewers:
    """Pages that are open: each holds a live stream and reads what comes. One thread for all, so that they cost little themselves."""

    def __init__(self, http):
        self.bytes, self.lost, self.wake = 0, 0, socket.socketpair()
        self.open = selectors.DefaultSelector()
        for _ in range(STREAMS):
            s = socket.create_connection(("127.0.0.1", http))
            s.sendall(f"GET /api/v1/live HTTP/1.1\r\nHost: 127.0.0.1:{http}\r\n\r\n".encode())
            if not s.recv(4096).startswith(b"HTTP/1.1 200"):
                sys.exit("error: a live stream was refused")
            self.open.register(s, selectors.EVENT_READ)
        self.open.register(self.wake[0], selectors.EVENT_READ)
        self.thread = threading.Thread(target=self.read)
        self.thread.start()

    def read(self):
        while True:
            for key, _ in self.open.select():
                if key.fileobj is self.wake[0]:
                    return
                got = len(key.fileobj.recv(1 << 18))
                self.bytes += got
                if not got:
                    self.lost += 1
                    self.open.unregister(key.fileobj)

    def stop(self):
        self.wake[1].send(b".")
        self.thread.join()
        if self.lost:
            sys.exit(f"error: {self.lost} live streams ended early")


def watched(args, n, readings):
    """One load alone, one with every live stream taken by a page; a fresh broker and store each. Which goes first alternates."""
    total, rate, cpu = SOURCES * readings, {}, {}
    for viewed in [n % 2 == 0, n % 2 == 1]:
        broker = Broker(f"watched-{n}-{int(viewed)}")
        h = Heyun(args.heyun, broker, f"watched-{n}-{int(viewed)}")
        # All meters are known, so that the streams tell of all from the start.
        h.wait_rows(publish(args, broker, 1)["sent"], 30)
        viewers = Viewers(h.http) if viewed else None
        began, before = time.monotonic(), h.cpu_s()
        publish(args, broker, readings, "--skip", "1")
        h.wait_rows(total + SOURCES - 19, 300)
        seconds = time.monotonic() - began
        rate[viewed], cpu[viewed] = (total - 19) / seconds, (h.cpu_s() - before) * 100_000 / total
        if viewers:
            viewers.stop()
            out = {"sent_mb_s": viewers.bytes / seconds / 1e6, "peak": h.peak_mb()}
        h.stop()
        broker.stop()
    out |= {"ratio": rate[True] / rate[False], "cpu": cpu[True]}
    say(f"pair {n}: alone {rate[False]:,.0f}/s, CPU {cpu[False]:.2f} s/100 000; with {STREAMS} streams {rate[True]:,.0f}/s, CPU {cpu[True]:.2f} s/100 000, "
        f"{out['sent_mb_s']:.1f} MB/s sent, peak {out['peak']:.1f} MB; ratio {out['ratio']:.2f}")
    return out


def ask(h, path, times=20, pause=0):
    """Median and longest time of a request, in milliseconds, and the size of its answer."""
    took = []
    for _ in range(times):
        time.sleep(pause)
        cmd = ["curl", "-fsS", "-o", f"{OUT}/answer", "-w", "%{time_total}", f"http://127.0.0.1:{h.http}{path}"]
        took.append(float(subprocess.run(cmd, capture_output=True, text=True, check=True, timeout=60).stdout) * 1000)
    return {"median": statistics.median(took), "longest": max(took), "first": took[0], "kb": os.path.getsize(f"{OUT}/answer") / 1000}


def charts(h, last):
    """What pages ask of a store with a year in it; `last` is the newest time stamp."""
    ms = lambda days: (last - days * 86_400) * 1000
    flow = lambda days, resolution: f"/api/v1/meters/w0042/flow?from={ms(days)}&to={ms(0)}&resolution={resolution}"
    return {
        "day": ask(h, flow(365, "day")),
        "hour": ask(h, flow(100, "hour")),
        "raw": ask(h, flow(8, "raw")),
        "today": ask(h, "/api/v1/overview", times=4, pause=5.1),
        "overview": ask(h, "/api/v1/overview"),
    }


def year(args):
    """The year before now of 150 sources at 15 minutes, through the broker; then starts with and without a checkpoint."""
    total, begin = SOURCES * YEAR, (int(time.time()) - BEGINS) // STEP - YEAR
    broker = Broker("year")
    h = Heyun(args.heyun, broker, "year")
    began, written = time.monotonic(), h.written()
    publish(args, broker, YEAR, "--skip", str(begin), "--max-seconds", "600")
    h.wait_rows(total, 300)
    out = {"seconds": time.monotonic() - began, "written": (h.written() - written) / total, "load_peak": h.peak_mb()}
    h.stop()
    out["disk"] = os.path.getsize(h.db) / total
    h = Heyun(args.heyun, broker, "year", keep=True)
    out["ready"], out["idle"] = h.ready_s, h.rss_mb()
    publish(args, broker, 200, "--skip", str(begin))
    time.sleep(6)
    out["charts"] = charts(h, BEGINS + (begin + YEAR) * STEP)
    out["peak"] = h.peak_mb()
    h.stop()
    db = sqlite3.connect(h.db)
    out["days"] = db.execute("SELECT count(*) FROM calendar").fetchone()[0]
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
    ap.add_argument("--only", choices=["ingest", "contact", "live", "year"], help="one part of it")
    args = ap.parse_args()
    shutil.rmtree(OUT, ignore_errors=True)
    os.makedirs(OUT)

    wanted = lambda part: args.only in (None, part)
    mid = lambda runs, key: statistics.median(r[key] for r in runs)
    rows = []
    if wanted("ingest"):
        print(f"==> {args.pairs} pairs of {SOURCES * args.readings:,} messages at QoS 1: the bare counter, then the daemon", flush=True)
        runs = [pair(args, n + 1, args.readings) for n in range(args.pairs)]
        peak = max(r["peak"] for r in runs)
        rows += [
            ("ingest at QoS 1, stored before acknowledged, against the bare counter", f"{mid(runs, 'ratio'):.2f} ×", "≥ 0.9", mid(runs, "ratio") >= 0.9),
            ("… messages per second (the bare counter's)", f"{mid(runs, 'rate'):,.0f} ({mid(runs, 'bare_rate'):,.0f})", "", None),
            ("CPU per 100 000 messages (the bare counter's)", f"{mid(runs, 'cpu'):.2f} s ({mid(runs, 'bare_cpu'):.2f})", "≤ 1.0 s", mid(runs, "cpu") <= 1),
            ("written per reading, flat out", f"{mid(runs, 'written'):.0f} B", "≤ 130", mid(runs, "written") <= 130),
        ]
        print("==> five messages a second for two minutes", flush=True)
        t = trickle(args)
        rows += [
            ("written per reading, 5 a second", f"{t['written']:.0f} B", "≤ 900", t["written"] <= 900),
            ("resident, idle", f"{t['idle']:.1f} MB", "≤ 16", t["idle"] <= 16),
            ("resident, peak flat out", f"{peak:.1f} MB", "≤ 24", peak <= 24),
        ]
    if wanted("contact"):
        print("==> a contact that closes, 40 times, while meters send 200 messages a second", flush=True)
        c = contact(args)
        rows += [("from a contact's message to its incident on the live stream (longest of 40)", f"{c['median']:.0f} ms ({c['longest']:.0f})", "≤ 300 ms", c["longest"] <= 300)]
    if wanted("live"):
        print(f"==> {args.pairs} pairs: the daemon alone, then with {STREAMS} live streams", flush=True)
        # Four times as long as the pairs above: the streams' part is small, and the machine's own speed moves by more.
        runs = [watched(args, n + 1, 4 * args.readings) for n in range(args.pairs)]
        peak = max(r["peak"] for r in runs)
        rows += [
            (f"ingest with {STREAMS} live streams, against none", f"{mid(runs, 'ratio'):.2f} ×", "≥ 0.95", mid(runs, "ratio") >= 0.95),
            (f"resident with {STREAMS} live streams, peak flat out", f"{peak:.1f} MB", "≤ 24", peak <= 24),
        ]
    if wanted("year") and not args.quick:
        print("==> a year of 150 sources at 15 minutes (5 256 000 messages)", flush=True)
        y = year(args)
        c = y["charts"]
        took = lambda a: f"{a['median']:.1f} ms ({a['longest']:.1f})"
        peak = max(y["peak"], y["load_peak"])
        rows += [
            ("a year of 150 sources through the broker", f"{y['seconds']:.0f} s", "", None),
            ("… written per reading", f"{y['written']:.0f} B", "≤ 130", y["written"] <= 130),
            ("… on disk per reading", f"{y['disk']:.2f} B", "", None),
            ("… days told when it was in", f"{y['days']}", "≥ 363", y["days"] >= 363),
            ("READY with that year and a checkpoint", f"{y['ready']:.2f} s", "≤ 0.3", y["ready"] <= 0.3),
            ("READY with that year, no checkpoint", f"{y['ready_fold']:.1f} s", "≤ 10", y["ready_fold"] <= 10),
            ("resident with that year, idle", f"{y['idle']:.1f} MB", "≤ 16", y["idle"] <= 16),
            ("resident with that year, peak flat out", f"{peak:.1f} MB", "≤ 24", peak <= 24),
            ("chart of that year by day, one meter (longest of 20)", took(c["day"]), "≤ 100 ms", c["day"]["median"] <= 100),
            ("chart of 100 days by hour, one meter", took(c["hour"]), "≤ 100 ms", c["hour"]["median"] <= 100),
            ("chart of 8 days, every reading", took(c["raw"]), "", None),
            ("overview of 100 bulk meters: the first of a quarter of an hour", f"{c['today']['first']:.0f} ms", "", None),
            ("… the first in 5 s", took(c["today"]), "", None),
            ("… any other", took(c["overview"]), "", None),
        ]
    lines = ["| what | measured | target | |", "| --- | --- | --- | --- |"]
    lines += [f"| {what} | {got} | {goal} | {'' if ok is None else 'yes' if ok else 'NO'} |" for what, got, goal, ok in rows]
    print("\n" + "\n".join(lines))
    open(f"{OUT}/result.md", "w").write("\n".join(lines) + "\n")
    sys.exit(1 if any(ok is False for *_, ok in rows) else 0)


if __name__ == "__main__":
    main()
