# SPDX-License-Identifier: Apache-2.0
"""What is measured: a cell is one workload, its contestants, and the targets it decides."""
from dataclasses import dataclass, field

# Metrics: unit, how many digits to show, and how to get it from the load generator's result.
# A proxy's CPU is that of its whole process tree. `None` where a metric does not apply.


def _per(numerator, denominator):
    return numerator / denominator if denominator else None


METRICS = {
    "cpu_gib": ("proxy CPU s/GiB", lambda r: _per(r["proxy_cpu_ns"] / 1e9, r["bytes"] / 2**30)),
    "cpu_op": ("proxy CPU µs/op", lambda r: _per(r["proxy_cpu_ns"] / 1e3, r["client_ops"])),
    "cpu_datagram": ("proxy CPU µs/datagram",
                     lambda r: _per(r["proxy_cpu_ns"] / 1e3, r["client_ops"] + r["server_ops"])),
    "p50": ("p50 µs", lambda r: r["p50_ns"] / 1e3 if r["samples"] else None),
    "p99": ("p99 µs", lambda r: r["p99_ns"] / 1e3 if r["samples"] else None),
    "memory": ("bytes/tunnel",
               lambda r: _per(r["memory_after"] - r["memory_before"], r["tunnels"])),
    "gbit": ("Gbit/s", lambda r: r["bytes"] * 8 / 1e9 / r["seconds"]),
    "rate": ("ops/s", lambda r: r["client_ops"] / r["seconds"]),
    "datagrams": ("datagrams/s", lambda r: (r["client_ops"] + r["server_ops"]) / r["seconds"]),
    "proxy_cpu": ("proxy CPU %", lambda r: r["proxy_cpu_ns"] / 1e7 / r["seconds"]),
    "client_cpu": ("client CPU %", lambda r: r["client_cpu_ns"] / 1e7 / r["seconds"]),
    "server_cpu": ("server CPU %", lambda r: r["server_cpu_ns"] / 1e7 / r["seconds"]),
    "errors": ("errors", lambda r: float(r["errors"])),
}


@dataclass
class Target:
    """subject's metric against the best or each of the contestants in `against`: at most `limit`.

    With how == "absolute" the subject's own value counts; with "added" what it has more than direct.
    """
    subject: str
    metric: str
    against: tuple = ()
    limit: float = 1.0
    how: str = "best"


@dataclass
class Cell:
    name: str
    group: str
    title: str
    workload: list
    contestants: list
    metrics: list
    targets: list
    measure_ms: int = 1000
    warmup_ms: int = 150
    once: bool = False  # measured in one round only
    per_contestant: dict = field(default_factory=dict)  # options of the load generator


ENDS = ["client_cpu", "server_cpu", "errors"]
RELAYS = ["sluice/tcp", "haproxy/tcp", "haproxy-auto/tcp", "haproxy-forced/tcp", "nginx/tcp"]
PEER_RELAYS = tuple(RELAYS[1:])


def _bulk(name, title, *options):
    targets = [Target("sluice/tcp", "cpu_gib", ("haproxy-forced/tcp",), 1.0),
               Target("sluice/tcp", "cpu_gib", ("haproxy/tcp", "haproxy-auto/tcp"), 0.25, "each")]
    return Cell(name, "bulk", title, ["bulk", *options], list(RELAYS),
                ["cpu_gib", "gbit", "proxy_cpu", *ENDS], targets, warmup_ms=250)


def _bulks():
    cells = []
    for streams in (1, 8, 64):
        for direction in ("up", "down"):
            cells.append(_bulk(f"bulk-{streams}-{direction}",
                               f"bulk, {streams} stream(s), {direction}",
                               "--streams", str(streams), "--dir", direction))
    slow = (("send-burn", 1, "slow sender (100 µs of CPU per 64 KiB)", "--send-burn-us", "100"),
            ("send-rate", 8, "slow sender (4 Gbit/s in 64 KiB writes)", "--send-mbit", "4000"),
            ("recv-burn", 1, "slow receiver (100 µs of CPU per 64 KiB)", "--recv-burn-us", "100"),
            ("recv-rate", 8, "slow receiver (4 Gbit/s in 64 KiB reads)", "--recv-mbit", "4000"))
    for name, streams, title, *options in slow:
        cells.append(_bulk(f"bulk-{name}-{streams}", f"bulk, {streams} stream(s), {title}",
                           "--streams", str(streams), *options))
    return cells


def _paced(streams, kib, interval_us, limit):
    targets = [Target("sluice/tcp", "cpu_gib", PEER_RELAYS, limit),
               Target("sluice/tcp", "p50", ("direct/tcp",), 1000, "added"),
               Target("sluice/tcp", "p99", ("direct/tcp",), 4000, "added")]
    mbit = kib * 1024 * 8 / interval_us
    return Cell(f"paced-{streams}x{kib}k", "paced",
                f"paced, {streams} streams of {mbit:.0f} Mbit/s: {kib} KiB each "
                f"{interval_us / 1000:g} ms",
                ["paced", "--dir", "down", "--streams", str(streams), "--size",
                 str(kib * 1024), "--interval-us", str(interval_us)],
                [*RELAYS, "direct/tcp"],
                ["cpu_gib", "p50", "p99", "gbit", "proxy_cpu", *ENDS], targets, warmup_ms=300)


def _pingpong():
    targets = [Target("sluice/tcp", "p50", PEER_RELAYS, 0.9),
               Target("sluice/tcp", "cpu_op", PEER_RELAYS, 0.9)]
    return Cell("pingpong-64", "pingpong", "64 connections, 64-byte messages there and back",
                ["pingpong", "--streams", "64", "--size", "64"], [*RELAYS, "direct/tcp"],
                ["p50", "p99", "cpu_op", "rate", "proxy_cpu", *ENDS], targets)


def _churns():
    work = ["churn", "--streams", "16", "--size", "1024"]
    metrics = ["cpu_op", "rate", "p50", "p99", "proxy_cpu", *ENDS]
    socks, connect = ("dante/socks5", "microsocks/socks5"), ("squid/connect", "tinyproxy/connect")
    return [
        Cell("churn-tcp", "churn", "connect, 100 B, 1 KiB, close: TCP", work,
             [*RELAYS, "direct/tcp"], metrics,
             [Target("sluice/tcp", "cpu_op", PEER_RELAYS, 0.85)]),
        Cell("churn-socks5", "churn", "connect, 100 B, 1 KiB, close: SOCKS5", work,
             ["sluice/socks5", *socks], metrics,
             [Target("sluice/socks5", "cpu_op", socks, 0.7, "each")]),
        Cell("churn-connect", "churn", "connect, 100 B, 1 KiB, close: HTTP CONNECT", work,
             ["sluice/connect", *connect], metrics,
             [Target("sluice/connect", "cpu_op", connect, 0.7, "each")]),
    ]


def _https():
    work = ["http", "--streams", "32", "--size", "1024"]
    metrics = ["cpu_op", "rate", "p50", "p99", "proxy_cpu", *ENDS]
    forward, reverse = ("squid/forward", "tinyproxy/forward"), ("nginx/reverse", "haproxy/reverse")
    return [
        Cell("http", "http", "32 connections, keep-alive GET of 1 KiB: forward and reverse", work,
             ["sluice/forward", "sluice/reverse", *forward, *reverse, "direct/reverse"], metrics,
             [Target("sluice/forward", "cpu_op", forward, 0.25, "each"),
              Target("sluice/forward", "cpu_op", reverse, 1.0, "each"),
              Target("sluice/reverse", "cpu_op", reverse, 1.0, "each")],
             per_contestant={"tinyproxy/forward": ["--keepalive", "0"]}),  # it knows no other way
    ]


def _ttfb():
    peers = ("squid/connect", "tinyproxy/connect", "dante/socks5", "microsocks/socks5")
    return Cell("ttfb", "ttfb", "connect to first byte, one at a time", ["ttfb", "--size", "16"],
                ["sluice/connect", "sluice/socks5", *peers, "direct/tcp"],
                ["p50", "p99", "cpu_op", "rate", *ENDS],
                [Target("sluice/connect", "p50", peers, 0.85),
                 Target("sluice/socks5", "p50", peers, 0.85)], measure_ms=600)


def _udps():
    cells = []
    for flows in (1, 200):
        for size in (64, 1200):
            for burst in (1, 16):
                window = 32 if flows == 1 else max(burst, 4)
                cells.append(Cell(
                    f"udp-{flows}x{size}" + ("-gso" if burst > 1 else ""), "udp",
                    f"UDP, {flows} flow(s), {size} B, "
                    + (f"GSO bursts of {burst}" if burst > 1 else "single datagrams"),
                    ["udp", "--streams", str(flows), "--size", str(size), "--burst", str(burst),
                     "--window", str(window)],
                    ["sluice/udp-socks5", "dante/udp-socks5", "nginx/udp", "direct/udp"],
                    ["cpu_datagram", "datagrams", "proxy_cpu", *ENDS],
                    [Target("sluice/udp-socks5", "cpu_datagram", ("dante/udp-socks5",), 0.3),
                     Target("sluice/udp-socks5", "cpu_datagram", ("nginx/udp",),
                            0.3 if burst > 1 else 0.7)],
                    measure_ms=700))
    return cells


def _idle():
    few = ["--streams", "1000"]  # these need so much that more would take too long
    return Cell("idle", "idle", "user memory of an idle tunnel that has carried 64 B each way",
                ["idle", "--streams", "9000", "--size", "64"],
                ["sluice/tcp", "sluice/socks5", "sluice/connect", "haproxy/tcp",
                 "haproxy-forced/tcp", "nginx/tcp", "microsocks/socks5", "squid/connect",
                 "dante/socks5"],
                ["memory", "proxy_cpu", *ENDS],
                [Target("sluice/tcp", "memory", (), 1024, "absolute"),
                 Target("sluice/socks5", "memory", (), 1024, "absolute"),
                 Target("sluice/connect", "memory", (), 1024, "absolute"),
                 Target("sluice/tcp", "memory", ("haproxy/tcp",), 0.3)],
                measure_ms=300, warmup_ms=1000, once=True,
                per_contestant={"dante/socks5": few, "squid/connect": few,
                                "microsocks/socks5": few})


def all_cells():
    return [*_bulks(), _paced(16, 4, 250, 0.4), _paced(16, 8, 500, 0.4), _paced(64, 16, 2000, 0.4),
            _paced(512, 4, 10000, 0.7), _pingpong(), *_churns(), *_https(), _ttfb(), *_udps(),
            _idle()]
