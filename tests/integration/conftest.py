# SPDX-License-Identifier: Apache-2.0
"""Fixtures of the integration tests: the proxy, servers behind it, a folder that its user can read."""

import os
import shutil
import ssl
import subprocess
import tempfile
from pathlib import Path

import pytest

from kit.dns import Dns
from kit.http import Origin
from kit.net import Server, Sink, Source, echo
from kit.proxy import Proxy


@pytest.hookimpl(hookwrapper=True)
def pytest_runtest_makereport(item):
    outcome = yield
    report = outcome.get_result()
    if report.when == "call":
        item.call_failed = report.failed


@pytest.fixture
def folder():
    """A folder that every user can enter: the proxy gives up root, and pytest's tmp_path is private."""
    path = Path(tempfile.mkdtemp(prefix="sluice-test-"))
    path.chmod(0o777)
    yield path
    shutil.rmtree(path, ignore_errors=True)


@pytest.fixture
def sluice(request, folder):
    """Starts a proxy: sluice(config), sluice(args=["-L", "127.0.0.1:0"]); see kit/proxy.py.

    It waits until the proxy is ready (ready=False does not), and at the end of the test ends it by
    TERM and asserts a clean exit without a sanitizer's report.
    """
    proxies = []

    def start(config=None, args=(), env=None, ready=True, **options):
        place = folder / f"proxy-{len(proxies)}"
        place.mkdir()
        place.chmod(0o777)
        if config is None and not args:
            config = {}
        proxy = Proxy(place, config, args, env, **options)
        proxies.append(proxy)
        return proxy.wait_ready() if ready else proxy

    yield start
    try:
        for proxy in proxies:
            proxy.stop()
    finally:
        for proxy in proxies:
            proxy.kill()
            if getattr(request.node, "call_failed", False):
                print(f"== log of {proxy.folder.name}\n{proxy.logs.text()[-8000:]}")
                print(f"== access log\n{proxy.accesses.text()[-4000:]}")


@pytest.fixture
def servers():
    """Anything with stop(): servers.add(server) gives it back and ends it after the test."""
    class Servers(list):
        def add(self, server):
            self.append(server)
            return server

        def serve(self, handle, **options):
            return self.add(Server(handle, **options))

    started = Servers()
    yield started
    for server in started:
        server.stop()


@pytest.fixture
def origin(servers):
    """An HTTP origin on 127.0.0.1; see kit/http.py for what its paths do."""
    server = servers.add(Origin())
    yield server
    server.released.set()


@pytest.fixture
def echo_server(servers):
    return servers.serve(echo)


@pytest.fixture
def sink_server(servers):
    return servers.serve(Sink())


@pytest.fixture
def source_server(servers):
    """Sends 8 MiB of the pattern."""
    return servers.serve(Source(8 << 20))


@pytest.fixture
def dns(servers):
    return servers.add(Dns())


@pytest.fixture(scope="session")
def certificate(tmp_path_factory):
    """(certificate, key) for www.test, localhost and 127.0.0.1."""
    place = tmp_path_factory.mktemp("tls")
    subprocess.run(
        ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes",
         "-days", "2", "-subj", "/CN=test", "-keyout", place / "key.pem", "-out", place / "cert.pem",
         "-addext", "subjectAltName=DNS:www.test,DNS:localhost,IP:127.0.0.1,IP:::1"],
        check=True, capture_output=True, timeout=20)
    return place / "cert.pem", place / "key.pem"


@pytest.fixture
def tls_context(certificate):
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(*certificate)
    return context


@pytest.fixture
def tls_origin(servers, tls_context):
    server = servers.add(Origin(tls=tls_context))
    yield server
    server.released.set()


@pytest.fixture
def curl():
    """Runs curl with a time limit; its standard output, or the whole outcome with check=False."""
    def run(*args, check=True, timeout=20, env=None, text=True):
        clean = {k: v for k, v in os.environ.items() if not k.lower().endswith("_proxy")}
        done = subprocess.run(
            ["curl", "-q", "-sS", "--noproxy", "", "--max-time", str(timeout - 2), *map(str, args)],
            capture_output=True, text=text, timeout=timeout, env=clean | (env or {}), check=False)
        if check:
            assert done.returncode == 0, (done.returncode, done.stdout, done.stderr)
            return done.stdout
        return done
    return run
