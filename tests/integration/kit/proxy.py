# SPDX-License-Identifier: Apache-2.0
"""One running proxy: start, logs, signals, end."""

import functools
import json
import os
import re
import signal
import subprocess
import threading
from pathlib import Path

from kit.wait import PATIENCE, until

TOP = Path(__file__).resolve().parents[3]
SANITIZER = re.compile(r"(Address|Leak|Thread|UndefinedBehavior|Memory)Sanitizer|runtime error:")


def binary():
    """The program under test: SLUICE_BIN, or the one of the build folder."""
    default = Path(os.environ.get("TOOLS_BUILD", TOP / "build")) / "sluice"
    return os.environ.get("SLUICE_BIN", str(default))


@functools.cache
def sanitized():
    """Whether it was built with a sanitizer: what it takes of time and memory then says nothing."""
    program = Path(binary()).read_bytes()
    return b"__asan_init" in program or b"__tsan_init" in program


def clean_environment(extra=None):
    """Ours without SLUICE_..., which configures the proxy; a value of None removes a variable."""
    env = {k: v for k, v in os.environ.items() if not k.startswith("SLUICE_")}
    for key, value in (extra or {}).items():
        if value is None:
            env.pop(key, None)
        else:
            env[key] = str(value)
    return env


def command(*args, env=None, stdin=None, timeout=PATIENCE):
    """Runs `sluice ARGS` to its end."""
    feed = {"stdin": subprocess.DEVNULL} if stdin is None else {"input": stdin}
    return subprocess.run([binary(), *map(str, args)], env=clean_environment(env), timeout=timeout,
                          capture_output=True, text=True, check=False, **feed)


def split_address(text):
    host, _, port = text.rpartition(":")
    return host.strip("[]"), int(port)


class Lines:
    """JSON lines of a growing file; what is no JSON is kept in `other`."""

    def __init__(self, path):
        self.path = path
        self.records = []
        self.other = []
        self._offset = 0
        self._lock = threading.Lock()

    def read(self):
        if not self.path.exists():
            return self.records
        with self._lock, self.path.open("rb") as file:
            file.seek(self._offset)
            data = file.read()
            whole, newline, _ = data.rpartition(b"\n")
            self._offset += len(whole) + len(newline)
            for line in whole.decode("utf-8", "replace").splitlines():
                try:
                    self.records.append(json.loads(line))
                except ValueError:
                    self.other.append(line)
        return self.records

    def text(self):
        return self.path.read_text(errors="replace") if self.path.exists() else ""


class Proxy:
    """`sluice run` with JSON logs. `config` is a dict, a text, or None for `args` alone.

    A dict gets what a test does not care about: `admin: {address: off}` and one listener `main` on a
    free port of 127.0.0.1. Files live in `folder`, which must be readable for the user that the proxy
    becomes.
    """

    def __init__(self, folder, config=None, args=(), env=None, prefix=(), patience=PATIENCE):
        self.folder = folder
        self.file = None
        self.ended = False
        self.logs = Lines(folder / "log")
        self.accesses = Lines(folder / "access")
        self.exit_statuses = (0,)
        argv = [*prefix, binary(), "run"]
        if config is not None:
            self.file = folder / "sluice.yaml"
            self.write(config)
            argv += ["-c", str(self.file)]
        argv += map(str, args)
        defaults = {"SLUICE_LOG__FORMAT": "json", "SLUICE_ACCESS_LOG__FORMAT": "json"}
        if config is None and "--admin" not in args:
            argv += ["--admin", "off"]
        self.process = subprocess.Popen(  # pylint: disable=consider-using-with
            argv, stdin=subprocess.DEVNULL, stdout=self.accesses.path.open("wb"),
            stderr=self.logs.path.open("wb"), env=clean_environment(defaults | (env or {})))
        self.patience = patience

    # Configuration

    def write(self, config):
        """Replaces the configuration file in one step."""
        if isinstance(config, dict):
            config = {"admin": {"address": "off"},
                      "listeners": [{"name": "main", "address": "127.0.0.1:0"}]} | config
            config = json.dumps(config, indent=1)
        fresh = self.file.with_suffix(".new")
        fresh.write_text(config)
        fresh.rename(self.file)

    def reload(self, config=None, ok=True):
        """Writes `config`, sends HUP and waits for the outcome; its log record."""
        if config is not None:
            self.write(config)
        seen = len(self.logs.read())
        self.signal(signal.SIGHUP)
        message = "configuration reloaded" if ok else "reload failed"
        return self.wait_log(lambda r: r["message"].startswith(message), after=seen)

    # State

    @property
    def pid(self):
        return self.process.pid

    def listeners(self):
        """Bound addresses by listener name."""
        open_now = {}
        for record in self.logs.read():
            if record.get("message") == "listening":
                open_now[record.get("listener")] = split_address(record["address"])
            elif record.get("message") == "listener closed":
                open_now.pop(record.get("listener"), None)
        return open_now

    @property
    def address(self):
        """(host, port) of the first listener."""
        return next(iter(self.listeners().values()))

    @property
    def port(self):
        return self.address[1]

    def url(self, scheme="http", listener=None, user=None):
        host, port = self.listeners()[listener] if listener else self.address
        host = f"[{host}]" if ":" in host else host
        return f"{scheme}://{user + '@' if user else ''}{host}:{port}"

    def cpu_seconds(self):
        fields = Path(f"/proc/{self.pid}/stat").read_text().rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")

    def memory_bytes(self):
        status = Path(f"/proc/{self.pid}/status").read_text()
        return int(re.search(r"VmRSS:\s+(\d+)", status)[1]) * 1024

    def descriptors(self):
        return len(os.listdir(f"/proc/{self.pid}/fd"))

    # Waiting

    def _said(self):
        return self.logs.text()[-4000:] + "\n" + self.accesses.text()[-2000:]

    def wait_log(self, condition, after=0, seconds=None):
        """The first log record, from number `after` on, for which `condition` holds."""
        if isinstance(condition, str):
            message = condition
            condition = lambda r: r.get("message") == message  # pylint: disable=C3001

        def look():
            assert self.process.poll() is None or self.ended, f"it ended: {self._said()}"
            return next((r for r in self.logs.read()[after:] if condition(r)), None)

        return until(look, seconds or self.patience, lambda: f"a log record; there is {self._said()}")

    def wait_ready(self):
        self.wait_log("ready")
        return self

    def wait_access(self, condition=None, count=1, seconds=None, **fields):
        """The access log records that `condition` and `fields` select, once there are `count`."""
        def matches(record):
            return all(record.get(k) == v for k, v in fields.items()) and \
                (condition is None or condition(record))

        def look():
            found = [r for r in self.accesses.read() if matches(r)]
            return found if len(found) >= count else None

        return until(look, seconds or self.patience,
                     lambda: f"{count} access log records of {fields}; there is {self._said()}")

    def access(self, **fields):
        """The one access log record with these fields."""
        found = self.wait_access(**fields)
        assert len(found) == 1, found
        return found[0]

    # The end

    def signal(self, number):
        self.process.send_signal(number)

    def wait_end(self, seconds=None):
        status = self.process.wait(seconds or self.patience)
        self.ended = True
        return status

    def stop(self):
        """TERM, and a second one when connections are left; fails on a bad end."""
        if not self.ended:
            statuses = self.exit_statuses
            self.signal(signal.SIGTERM)
            try:
                status = self.wait_end(0.7)
            except subprocess.TimeoutExpired:
                self.signal(signal.SIGTERM)
                statuses = {*statuses, 4}
                status = self.wait_end()
            assert status in statuses, f"exit status {status}: {self._said()}"
        self.check_output()

    def check_output(self):
        text = self.logs.text()
        assert not SANITIZER.search(text), text[-20000:]
        assert '"reason":"internal"' not in self.accesses.text(), self.accesses.text()

    def kill(self):
        """The last resort, when a test has failed."""
        if self.process.poll() is None:
            self.process.kill()
            self.process.wait()
        self.ended = True
