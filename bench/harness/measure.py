# SPDX-License-Identifier: Apache-2.0
"""Runs cells: all contestants of a cell are up, and every round measures each once, in turn."""
import json
import os
import subprocess
import time

from .cells import METRICS
from .peers import VIA, Instance, PeerError, free_port, prepare_process


class Measurer:
    def __init__(self, load, peers, where, rounds, scale=1.0, pin=None, log=print,
                 idle_streams=None, priority=0):
        self.load = load
        self.peers = peers
        self.where = where
        self.rounds = rounds
        self.scale = scale
        self.pin = pin  # (CPU of the proxy, CPU of the ends) or None
        self.log = log
        self.idle_streams = idle_streams
        self.priority = priority
        self.count = 0

    def cell(self, cell, deadline):
        """Measures one cell. Returns {contestant: {"runs": [...], "problems": [...]}}."""
        backend = free_port()
        found = {c: {"runs": [], "problems": []} for c in cell.contestants}
        up = {}
        try:
            for contestant in cell.contestants:
                try:
                    up[contestant] = self._start(contestant, backend)
                except PeerError as e:
                    found[contestant]["problems"].append(str(e))
            for n in range(1 if cell.once else self.rounds):
                if time.monotonic() > deadline:
                    self.log(f"    out of time after {n} round(s)")
                    break
                order = [c for c in cell.contestants if c in up]
                if order:
                    shift = n % len(order)
                    order = order[shift:] + order[:shift]
                for contestant in order:
                    self._round(cell, contestant, up[contestant], backend, n, found[contestant])
        finally:
            for instance in up.values():
                instance.stop()
        return found

    def _start(self, contestant, backend):
        name, mode = contestant.split("/")
        peer = self.peers[name]
        if not peer.path():
            raise PeerError(f"{name} is not installed")
        self.count += 1
        where = os.path.join(self.where, f"{self.count}-{name}-{mode}")
        return Instance(peer, mode, backend, where, self.pin[0] if self.pin else None,
                        self.priority)

    def argv(self, cell, contestant, instance, backend):
        mode = contestant.split("/")[1]
        scale = 1.0 if cell.once else self.scale
        argv = [self.load, *cell.workload, "--via", VIA[mode],
                "--proxy", f"127.0.0.1:{instance.port}", "--backend", f"127.0.0.1:{backend}",
                "--measure-ms", str(int(cell.measure_ms * scale)),
                "--warmup-ms", str(int(cell.warmup_ms * (scale + 1) / 2)),
                *cell.per_contestant.get(contestant, [])]
        if cell.once and self.idle_streams:
            argv += ["--streams", str(self.idle_streams)]
        if instance.pid():
            argv += ["--pid", str(instance.pid())]
        if self.pin:
            argv += ["--ends-cpu", str(self.pin[1])]
        return argv

    def _round(self, cell, contestant, instance, backend, n, found):
        if len(found["problems"]) >= 2:
            return  # it failed twice: it is not asked again
        limit = 90 if cell.once else 30
        argv = self.argv(cell, contestant, instance, backend)
        try:
            done = subprocess.run([*argv, "--limit-s", str(limit)], stdout=subprocess.PIPE,
                                  stderr=subprocess.PIPE, timeout=limit + 10, check=False,
                                  start_new_session=True,
                                  preexec_fn=lambda: prepare_process(None, self.priority))
        except subprocess.TimeoutExpired:
            found["problems"].append(f"round {n}: no result within {limit} s")
            return
        if done.returncode != 0:
            text = done.stderr.decode(errors="replace").strip() or f"exit {done.returncode}"
            found["problems"].append(f"round {n}: {text}")
        else:
            raw = json.loads(done.stdout)
            values = {name: get(raw) for name, (_, get) in METRICS.items() if name in cell.metrics}
            found["runs"].append({"round": n, "values": values, "raw": raw})
        if not instance.alive():
            found["problems"] += [f"round {n}: the proxy ended: {instance.output()}"] * 2
