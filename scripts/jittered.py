"""Readings as devices with clocks of their own send them: every minute, up to two seconds off, one number a message. Seeded.

100 counters in litres, used as houses use water (little at night, much in the morning and the evening, a few litres to a dozen a minute while
a tap runs), and 50 temperatures in 0.1 °C that drift. The same rows as messages for a broker, and as lines for VictoriaMetrics.
"""
import random
import socket
import threading
import time

COUNTERS, TEMPERATURES = 100, 50
SOURCES = COUNTERS + TEMPERATURES
MINUTES_PER_DAY = 1_440
# 2025-01-01T00:00:00Z, in ms: where the load tool begins, too.
BEGINS = 1_735_689_600_000
# How likely a tap is opened in a minute, by the hour.
OPENS = [0.005] * 5 + [0.03] + [0.10] * 3 + [0.04] * 9 + [0.09] * 4 + [0.03] * 2


def rounds(minutes, seed=1):
    """For every minute the rows of all sources, as (ms, source, number), in the order in which they arrive."""
    r = random.Random(seed)
    bits, chance = r.getrandbits, r.random
    numbers = [bits(19) for _ in range(COUNTERS)] + [180 + bits(8) for _ in range(TEMPERATURES)]
    # Litres a minute of the tap that runs, and for how many minutes more.
    taps = [(0, 0)] * COUNTERS
    for minute in range(minutes):
        # Two seconds after the minute is in the middle, so that nothing falls into the year before.
        at = BEGINS + minute * 60_000
        opens = OPENS[minute // 60 % 24]
        rows = []
        for i in range(COUNTERS):
            litres, left = taps[i]
            if left:
                taps[i] = litres, left - 1
                numbers[i] += litres + (bits(2) == 0)
            elif chance() < opens:
                taps[i] = 1 + bits(4) % 12, bits(3)
            rows.append((at + bits(12) * 4_000 // 4_095, i, numbers[i]))
        for i in range(COUNTERS, SOURCES):
            if not bits(2):
                numbers[i] = min(max(numbers[i] + (1 if bits(1) else -1), 150), 600)
            rows.append((at + bits(12) * 4_000 // 4_095, i, numbers[i]))
        rows.sort()
        yield rows


def lines(rows):
    """VictoriaMetrics' own way to take rows: InfluxDB's line protocol, with stamps in ns."""
    return "".join(
        f"water,id=w{i:04} total_l={n} {ms}000000\n" if i < COUNTERS else f"heat,id=h{i - COUNTERS:04} supply_c={n // 10}.{n % 10} {ms}000000\n" for ms, i, n in rows
    ).encode()


class Publisher:
    """A pipelined MQTT 3.1.1 publisher at QoS 1; at most 1000 messages are on their way to the broker."""

    WINDOW = 1_000

    def __init__(self, port):
        self.s = socket.create_connection(("127.0.0.1", port))
        self.s.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.s.sendall(b"\x10\x14\x00\x04MQTT\x04\x02\x00\x00\x00\x08jittered")
        if self.s.recv(4) != b"\x20\x02\x00\x00":
            raise SystemExit("error: the broker refused the connection")
        topics = [f"meters/w{i:04}/state" for i in range(COUNTERS)] + [f"heat/h{i:04}/state" for i in range(TEMPERATURES)]
        self.topics = [len(t).to_bytes(2, "big") + t.encode() for t in topics]
        self.sent = self.acknowledged = 0
        self.reader = threading.Thread(target=self.read, daemon=True)
        self.reader.start()

    def read(self):
        got = 0
        while chunk := self.s.recv(1 << 16):
            # Every PUBACK is four bytes.
            got += len(chunk)
            self.acknowledged = got // 4

    def send(self, rows):
        out = []
        for ms, i, n in rows:
            head, packet = self.topics[i], (self.sent % 65_535 + 1).to_bytes(2, "big")
            body = b'{"ts":%d,"total_l":%d}' % (ms, n) if i < COUNTERS else b'{"ts":%d,"supply_c":%d.%d}' % (ms, n // 10, n % 10)
            # Below 128 bytes the length is one byte.
            out.append(b"\x32%c%b%b%b" % (len(head) + 2 + len(body), head, packet, body))
            self.sent += 1
        self.s.sendall(b"".join(out))
        self.wait(self.WINDOW - SOURCES)

    def wait(self, open_ends=0):
        """Returns when no more than so many messages are without an acknowledgement."""
        end = time.monotonic() + 60
        while self.sent - self.acknowledged > open_ends:
            if time.monotonic() > end or not self.reader.is_alive():
                raise SystemExit(f"error: the broker acknowledged {self.acknowledged} of {self.sent} messages")
            time.sleep(0.000_2)

    def close(self):
        self.wait()
        self.s.sendall(b"\xe0\x00")
        self.s.close()
