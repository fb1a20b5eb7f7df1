# SPDX-License-Identifier: Apache-2.0
"""The contestants: how each proxy is configured and started, one worker each, nothing logged.

A mode says what the proxy is asked to be:
  tcp         relays a port to the backend (layer 4)
  socks5      SOCKS5 CONNECT          connect     HTTP CONNECT
  forward     absolute-form HTTP      reverse     keep-alive HTTP to one backend
  udp-socks5  SOCKS5 UDP ASSOCIATE    udp         relays a UDP port to the backend
"""
import os
import pwd
import random
import shutil
import signal
import socket
import subprocess
import time

# How the load generator talks to a proxy in that mode.
VIA = {"tcp": "tcp", "socks5": "socks5", "connect": "connect", "forward": "forward",
       "reverse": "tcp", "udp-socks5": "socks5", "udp": "tcp"}


class PeerError(Exception):
    """A proxy that could not be started; the text says why."""


_given_ports = set()


def free_port():
    """A port outside the range that connections take theirs from, free for TCP and UDP, and not
    yet given to somebody who may listen on it later."""
    for _ in range(1000):
        port = random.randrange(20000, 32000)
        if port in _given_ports:
            continue
        try:
            with socket.socket() as t, socket.socket(type=socket.SOCK_DGRAM) as u:
                t.bind(("127.0.0.1", port))
                u.bind(("127.0.0.1", port))
                _given_ports.add(port)
                return port
        except OSError:
            continue
    raise PeerError("no free port between 20000 and 32000")


def _user(*names):
    for name in names:
        try:
            return pwd.getpwnam(name).pw_name
        except KeyError:
            continue
    return "nobody"


class Peer:
    """A kind of proxy. `files` gives {name: text} to write, `argv` the command."""
    name = ""
    program = ""
    modes = ()

    def files(self, mode, port, backend, where):
        return {}

    def argv(self, mode, port, backend, where):
        raise NotImplementedError

    def path(self):
        return shutil.which(self.program, path=os.environ.get("PATH", "") + ":/usr/sbin:/sbin")

    def version_argv(self):
        return [self.path(), "--version"]

    def version(self):
        try:
            out = subprocess.run(self.version_argv(), stdout=subprocess.PIPE,
                                 stderr=subprocess.STDOUT, timeout=10, check=False).stdout
        except (OSError, subprocess.TimeoutExpired):
            return "unknown"
        lines = out.decode(errors="replace").strip().splitlines()
        return lines[0][:100] if lines else "unknown"


class Sluice(Peer):
    name = "sluice"
    modes = ("tcp", "socks5", "connect", "forward", "reverse", "udp-socks5")

    def __init__(self, path, name="sluice", config=""):
        self._path = path
        self.name = name
        self.config = config

    def path(self):
        return self._path if os.access(self._path, os.X_OK) else None

    def files(self, mode, port, backend, where):
        protocols = {"tcp": "tcp", "reverse": "http"}.get(mode, "http, socks4, socks5")
        text = (f'listeners: [{{name: bench, address: "127.0.0.1:{port}", '
                f'protocols: [{protocols}]}}]\n'
                f'admin: {{address: "127.0.0.1:{free_port()}"}}\n'
                'access_log: {format: off}\n'
                'workers: 1\n')
        if mode in ("tcp", "reverse"):
            text += (f'routes: [{{name: r, listeners: [bench], '
                     f'to: ["127.0.0.1:{backend}"]}}]\n')
        text += self.config + "\n" if self.config else ""
        return {"sluice.yaml": text}

    def argv(self, mode, port, backend, where):
        return [self.path(), "run", "-c", f"{where}/sluice.yaml", "--workers", "1"]


class Haproxy(Peer):
    """Plain, with splice-auto, or with splicing forced in both directions over 1M pipes."""
    program = "haproxy"

    def __init__(self, name, options=(), pipesize=None):
        self.name = name
        self.options = options
        self.pipesize = pipesize
        self.modes = ("tcp",) if options else ("tcp", "reverse")

    def files(self, mode, port, backend, where):
        lines = ["global", "  nbthread 1", "  maxconn 9400", "  maxpipes 400"]
        if self.pipesize:
            lines.append(f"  tune.pipesize {self.pipesize}")
        lines += ["defaults", "  mode " + ("http" if mode == "reverse" else "tcp"),
                  "  timeout connect 10s", "  timeout client 10m", "  timeout server 10m",
                  "  timeout http-request 30s", "  timeout http-keep-alive 1m",
                  "  maxconn 9400"]
        if mode == "reverse":
            lines.append("  http-reuse always")
        lines += ["  option " + o for o in self.options]
        lines += ["listen bench", f"  bind 127.0.0.1:{port}",
                  f"  server s 127.0.0.1:{backend}"]
        return {"haproxy.cfg": "\n".join(lines) + "\n"}

    def argv(self, mode, port, backend, where):
        return [self.path(), "-db", "-q", "-f", f"{where}/haproxy.cfg"]

    def version_argv(self):
        return [self.path(), "-v"]


class Nginx(Peer):
    name = "nginx"
    program = "nginx"
    modes = ("tcp", "reverse", "udp")

    def files(self, mode, port, backend, where):
        module = "/usr/lib/nginx/modules/ngx_stream_module.so"
        head = ["worker_processes 1;", "daemon off;", f"pid {where}/nginx.pid;",
                "error_log stderr crit;", "worker_rlimit_nofile 20000;"]
        if os.geteuid() == 0:
            head.append("user root;")
        if mode != "reverse" and os.path.exists(module):
            head.insert(0, f"load_module {module};")
        head.append("events { worker_connections 19900; multi_accept on; }")
        if mode == "reverse":
            body = f"""http {{
  access_log off;
  keepalive_requests 100000000;
  client_body_temp_path {where}/body;
  proxy_temp_path {where}/proxy;
  fastcgi_temp_path {where}/fastcgi;
  uwsgi_temp_path {where}/uwsgi;
  scgi_temp_path {where}/scgi;
  upstream s {{ server 127.0.0.1:{backend} max_fails=0; keepalive 256;
                keepalive_requests 100000000; }}
  server {{
    listen 127.0.0.1:{port} backlog=4096;
    location / {{ proxy_pass http://s; proxy_http_version 1.1; proxy_set_header Connection "";
                  proxy_set_header Host $http_host; }}
  }}
}}"""
        else:
            udp = mode == "udp"
            listen = "udp reuseport rcvbuf=8m sndbuf=8m" if udp else "backlog=4096"
            body = f"""stream {{
  upstream s {{ server 127.0.0.1:{backend} max_fails=0; }}
  server {{ listen 127.0.0.1:{port} {listen}; proxy_pass s; proxy_timeout 10m; }}
}}"""
        return {"nginx.conf": "\n".join(head) + "\n" + body + "\n"}

    def argv(self, mode, port, backend, where):
        return [self.path(), "-p", where, "-e", "stderr", "-c", f"{where}/nginx.conf"]

    def version_argv(self):
        return [self.path(), "-v"]


class Dante(Peer):
    name = "dante"
    program = "danted"
    modes = ("socks5", "udp-socks5")

    def files(self, mode, port, backend, where):
        users = ""
        if os.geteuid() == 0:
            users = "user.privileged: root\nuser.unprivileged: nobody\n"
        return {"danted.conf": f"""logoutput: /dev/null
internal: 127.0.0.1 port = {port}
external: 127.0.0.1
clientmethod: none
socksmethod: none
{users}client pass {{ from: 0.0.0.0/0 to: 0.0.0.0/0 }}
socks pass {{
  from: 0.0.0.0/0 to: 0.0.0.0/0
  command: bind connect udpassociate bindreply udpreply
}}
"""}

    def argv(self, mode, port, backend, where):
        return [self.path(), "-N", "1", "-f", f"{where}/danted.conf", "-p", f"{where}/pid"]

    def version_argv(self):
        return [self.path(), "-v"]


class Microsocks(Peer):
    name = "microsocks"
    program = "microsocks"
    modes = ("socks5",)

    def argv(self, mode, port, backend, where):
        return [self.path(), "-i", "127.0.0.1", "-p", str(port)]

    def version(self):
        out = subprocess.run(["dpkg-query", "-W", "-f", "${Version}", "microsocks"],
                             stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, check=False)
        return "microsocks " + (out.stdout.decode().strip() or "(version unknown)")


class Squid(Peer):
    name = "squid"
    program = "squid"
    modes = ("connect", "forward")

    def files(self, mode, port, backend, where):
        return {"squid.conf": f"""http_port 127.0.0.1:{port}
http_access allow all
cache deny all
cache_mem 8 MB
access_log none
cache_store_log none
cache_log /dev/null
pid_filename none
coredump_dir {where}
netdb_filename none
pinger_enable off
shutdown_lifetime 0 seconds
visible_hostname bench
max_filedescriptors 20000
client_idle_pconn_timeout 10 minutes
server_idle_pconn_timeout 10 minutes
"""}

    def argv(self, mode, port, backend, where):
        return [self.path(), "-N", "-f", f"{where}/squid.conf"]


class Tinyproxy(Peer):
    name = "tinyproxy"
    program = "tinyproxy"
    modes = ("connect", "forward")

    def files(self, mode, port, backend, where):
        users = ""
        if os.geteuid() == 0:
            users = f"User {_user('tinyproxy', 'nobody')}\n"
        return {"tinyproxy.conf": f"""{users}Port {port}
Listen 127.0.0.1
Timeout 600
MaxClients 9000
LogLevel Critical
LogFile "/dev/null"
Allow 127.0.0.1
"""}

    def argv(self, mode, port, backend, where):
        return [self.path(), "-d", "-c", f"{where}/tinyproxy.conf"]

    def version_argv(self):
        return [self.path(), "-v"]


class Direct(Peer):
    """No proxy at all: what the ends and the loopback cost by themselves."""
    name = "direct"
    modes = ("tcp", "reverse", "udp")

    def path(self):
        return "direct"

    def version(self):
        return "no proxy"


def all_peers(sluice_path):
    splice = ("splice-request", "splice-response")
    peers = [Sluice(sluice_path), Haproxy("haproxy"), Haproxy("haproxy-auto", ("splice-auto",)),
             Haproxy("haproxy-forced", splice, 1 << 20), Nginx(), Dante(), Microsocks(), Squid(),
             Tinyproxy(), Direct()]
    return {p.name: p for p in peers}


def prepare_process(cpu, priority):
    """To be called in a new session's process: pins it, and ranks its scheduling group."""
    if cpu is not None:
        os.sched_setaffinity(0, {cpu})
    if priority:
        os.setpriority(os.PRIO_PROCESS, 0, priority)
        try:
            with open("/proc/self/autogroup", "w", encoding="ascii") as f:
                f.write(str(priority))
        except OSError:
            pass  # no such groups here: the process's own priority counts


class Instance:
    """One running proxy in a directory of its own."""

    def __init__(self, peer, mode, backend, where, cpu=None, priority=0):
        self.peer = peer
        self.mode = mode
        self.port = backend if isinstance(peer, Direct) else free_port()
        self.process = None
        self.where = where
        if isinstance(peer, Direct):
            return
        os.makedirs(where, exist_ok=True)
        os.chmod(where, 0o755)
        for name, text in peer.files(mode, self.port, backend, where).items():
            with open(os.path.join(where, name), "w", encoding="ascii") as f:
                f.write(text)
        self._start(peer.argv(mode, self.port, backend, where), cpu, priority)

    def _start(self, argv, cpu, priority):
        # SLUICE_... is configuration to the proxy that is measured.
        env = {k: v for k, v in os.environ.items() if not k.startswith("SLUICE_")}
        with open(os.path.join(self.where, "output"), "wb") as out:
            self.process = subprocess.Popen(argv, stdin=subprocess.DEVNULL, stdout=out,
                                            stderr=out, cwd="/", env=env,
                                            start_new_session=True,
                                            preexec_fn=lambda: prepare_process(cpu, priority))
        self._await_ready()

    def _await_ready(self):
        deadline = time.monotonic() + 15
        while time.monotonic() < deadline:
            if self.process.poll() is not None:
                raise PeerError(f"ended with {self.process.returncode} at once: {self.output()}")
            if self.mode == "udp":
                time.sleep(0.3)
                return
            try:
                socket.create_connection(("127.0.0.1", self.port), timeout=1).close()
                return
            except OSError:
                time.sleep(0.02)
        self.stop()
        raise PeerError("does not listen after 15 s: " + self.output())

    def output(self):
        try:
            with open(os.path.join(self.where, "output"), "rb") as f:
                return f.read()[-600:].decode(errors="replace").strip()
        except OSError:
            return ""

    def alive(self):
        return self.process is None or self.process.poll() is None

    def pid(self):
        return self.process.pid if self.process else 0

    def stop(self):
        """Ends the process, then whatever is left of its session (children that outlived it)."""
        if not self.process:
            return
        self.process.terminate()
        try:
            self.process.wait(3)
        except subprocess.TimeoutExpired:
            pass
        try:
            os.killpg(self.process.pid, signal.SIGKILL)
        except (ProcessLookupError, PermissionError):
            pass
        self.process.wait(5)
