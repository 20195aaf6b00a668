"""The service against those who mean it ill: connections, names, false addresses, lost keys and stores."""

import asyncio
import hashlib
import logging
import os
import shutil
import signal
import socket
import sqlite3
import ssl
import subprocess
import sys
import time
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager, suppress
from pathlib import Path
from threading import Thread
from typing import Any
from urllib.error import HTTPError

import pandas as pd
import pytest
from fastapi.testclient import TestClient
from small_grids import FACTS, ISSUED, grid, store_of, usual

from stforecast.config import Config, parse
from stforecast.delivery.api import keeper as keeping
from stforecast.delivery.api import keys as locks
from stforecast.delivery.api import server as module
from stforecast.delivery.api.app import create_app
from stforecast.delivery.api.keeper import Keeper
from stforecast.errors import ConfigError

ROOT = Path(__file__).resolve().parents[2]
LARGE = b"x" * 8_000_000
SLOWLY = b"GET /slowly HTTP/1.1\r\nHost: localhost\r\n\r\n"


def config_of(root: Path, **service: Any) -> Config:
    return parse({"city": "denver", "root": str(root), "service": service}, "test")


def app_of(config: Config) -> Any:
    return create_app(config, Keeper(store_of(config), lambda: ISSUED + pd.Timedelta(hours=1)))


def client_of(config: Config, peer: str = "127.0.0.1") -> TestClient:
    return TestClient(app_of(config), base_url="http://localhost", client=(peer, 50000))


@pytest.fixture
def root(tmp_path) -> Path:
    store = store_of(config_of(tmp_path))
    store.put(grid(), usual(grid()), FACTS, ISSUED)
    store.close()
    return tmp_path


@contextmanager
def served(app: Any) -> Iterator[int]:
    """An application behind the server's limits; its port."""
    with socket.create_server(("127.0.0.1", 0)) as listening:
        server = module.server_of(app)
        thread = Thread(target=server.run, args=([listening],))
        thread.start()
        soon(lambda: server.started)
        try:
            yield listening.getsockname()[1]
        finally:
            server.should_exit = True
            thread.join(20)
        assert not thread.is_alive()


def soon(holds: Callable[[], Any], seconds: float = 10) -> None:
    """Wait until something holds."""
    until = time.monotonic() + seconds
    while not holds():
        assert time.monotonic() < until
        time.sleep(0.02)


async def plain(scope: Any, receive: Any, send: Any) -> None:
    """A large answer at /large; one that takes a moment at /slowly."""
    if scope["type"] != "http":
        return
    while (await receive()).get("more_body"):
        pass
    if scope["path"] == "/slowly":
        await asyncio.sleep(0.5)
    await send({"type": "http.response.start", "status": 200, "headers": []})
    await send({"type": "http.response.body", "body": LARGE if scope["path"] == "/large" else b"ok"})


def connected(port: int, text: bytes = b"") -> socket.socket:
    its = socket.socket()
    its.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    its.connect(("127.0.0.1", port))
    its.sendall(text)
    return its


def rest(its: socket.socket, seconds: float = 10) -> bytes:
    """What comes until the other side closes."""
    its.settimeout(seconds)
    found = b""
    try:
        while text := its.recv(1 << 16):
            found += text
    except ConnectionResetError:
        pass
    return found


def is_open(its: socket.socket) -> bool:
    its.setblocking(False)
    try:
        return its.recv(1) != b""
    except BlockingIOError:
        return True
    except ConnectionResetError:
        return False


def answer(port: int, path: str = "/", **headers: str) -> tuple[int, bytes]:
    request = urllib.request.Request(f"http://127.0.0.1:{port}{path}", headers=headers)
    with urllib.request.urlopen(request, timeout=10) as found:
        return found.status, found.read()


@pytest.mark.parametrize(
    "text",
    [
        b"",
        b"GET / HTTP/1.1\r\nHost: local",
        b"POST / HTTP/1.1\r\nHost: localhost\r\nContent-Length: 9\r\n\r\n{",
        b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\nG",
        b"GET /large HTTP/1.1\r\nHost: localhost\r\n\r\n",
    ],
    ids=["idle", "slow head", "slow body", "slow after an answer", "slow to read"],
)
def test_a_client_that_does_not_go_on_is_cut_off(monkeypatch, text) -> None:
    monkeypatch.setattr(module, "PATIENCE", 0.3)
    with served(plain) as port, connected(port, text) as its:
        if b"large" in text:
            time.sleep(1)
        assert len(rest(its, 5)) < len(LARGE)


def test_of_too_many_connections_those_that_wait_longest_are_cut_off(monkeypatch) -> None:
    monkeypatch.setattr(module, "MOST", 10)
    with served(plain) as port:
        held = [connected(port, b"GET /") for _ in range(30)]
        assert answer(port) == (200, b"ok")
        soon(lambda: [is_open(one) for one in held] == [False] * 21 + [True] * 9)
        for one in held:
            one.close()


def test_only_so_many_may_be_slow_to_read(monkeypatch) -> None:
    monkeypatch.setattr(module, "MOST_SLOW", 2)
    with served(plain) as port:
        held = [connected(port, b"GET /large HTTP/1.1\r\nHost: localhost\r\n\r\n") for _ in range(5)]
        time.sleep(0.5)
        lengths = [len(rest(one)) for one in held]
    assert sorted(length > len(LARGE) for length in lengths) == [False] * 3 + [True] * 2


def test_large_heads_and_other_protocols_are_refused_and_fill_no_log(caplog) -> None:
    caplog.set_level(logging.INFO)
    heads = (b"GET / HTTP/1.1\r\nHost: localhost\r\n" + b"X: y\r\n" * 40_000 + b"\r\n", b"\x16\x03\x01\x02\x00" * 100)
    with served(plain) as port:
        for head in heads:
            with connected(port) as its:
                with suppress(OSError):  # the service need not read all of it
                    its.sendall(head)
                assert not rest(its).startswith(b"HTTP/1.1 200")
        assert answer(port) == (200, b"ok")
    assert not caplog.records


def test_a_stop_lets_requests_end_and_does_not_wait_for_the_idle() -> None:
    with served(plain) as port:
        idle, at_work = connected(port, b"GET /"), connected(port, SLOWLY)
        time.sleep(0.2)
    assert b"ok" in rest(at_work)
    assert rest(idle) == b""


def test_a_process_stops_on_a_signal(root) -> None:
    (root / "c.yaml").write_text(f"city: denver\nroot: {root}\n")
    command = [sys.executable, "-m", "stforecast", "serve", str(root / "c.yaml"), "--port", "0"]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    assert process.stdout is not None
    port = int(process.stdout.readline().split("/;")[0].split(":")[-1].split("/")[0])
    assert answer(port, "/healthz") == (200, b"ok\n")
    held = [connected(port, b"GET / HTTP/1.1\r\nHost:") for _ in range(5)]
    process.send_signal(signal.SIGTERM)
    _, log = process.communicate(timeout=20)
    assert process.returncode in (0, -signal.SIGTERM)
    assert "Traceback" not in log
    for one in held:
        one.close()


def statuses(client: TestClient, *forwarded: str) -> list[int]:
    return [client.get("/v1/top", headers={"X-Forwarded-For": one}).status_code for one in forwarded]


def test_a_client_is_believed_of_no_other_address(root) -> None:
    with client_of(config_of(root, rate_limit="2/minute")) as client:
        assert statuses(client, "192.0.2.1", "192.0.2.2", "192.0.2.3") == [200, 200, 429]
    behind = config_of(root, rate_limit="2/minute", proxies=["10.0.0.0/8"])
    with client_of(behind, "192.0.2.9") as client:  # no proxy of those
        assert statuses(client, "192.0.2.1", "192.0.2.2", "192.0.2.3") == [200, 200, 429]
    with client_of(behind, "10.0.0.1") as client:
        made_up = ("192.0.2.1", "1.1.1.1, 192.0.2.1", "10.0.0.7, 2.2.2.2, 192.0.2.1, 10.0.0.2")
        assert statuses(client, *made_up) == [200, 200, 429]  # the same client, whatever it says itself
        assert statuses(client, "192.0.2.2") == [200]
        assert statuses(client, "2001:db8::1", "2001:db8::ffff:2", "2001:db8:0:0:3::") == [200, 200, 429]
        assert statuses(client, "2001:db8:0:1::") == [200]


def test_proxies_are_addresses(root) -> None:
    with pytest.raises(ConfigError, match="proxies"):
        config_of(root, proxies=["proxy.example.org"])


def test_only_known_names_are_answered(root) -> None:
    with client_of(config_of(root, hosts=["Risk.example.org"])) as client:
        for host in (
            "localhost:8000",
            "127.0.0.1",
            "192.0.2.1:80",
            "[::1]:8000",
            "risk.example.org",
            "RISK.example.org",
        ):
            assert client.get("/v1/top", headers={"Host": host}).status_code == 200
        for host in ("evil.example.org", "risk.example.org.evil.org", "[::1", ""):
            refused = client.get("/v1/top", headers={"Host": host})
            assert refused.status_code == 421
            assert "service.hosts" in refused.json()["error"]
            assert client.get("/healthz", headers={"Host": host}).status_code == 200


@pytest.mark.parametrize(
    ("path", "large"),
    [("/", True), ("/v1/top", True), ("/v1/risk?format=csv", True), ("/docs", True), ("/healthz", False)],
)
def test_head_is_get_without_its_body_and_large_answers_are_compressed(root, path, large) -> None:
    with served(app_of(config_of(root))) as port:
        found = {}
        for method in (b"GET", b"HEAD"):
            request = b" HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\nAccept-Encoding: gzip\r\n\r\n"
            with connected(port, method + b" " + path.encode() + request) as its:
                head, _, body = rest(its).partition(b"\r\n\r\n")
            lines = [line for line in head.lower().split(b"\r\n") if not line.startswith(b"date:")]
            found[method] = (lines, body)
    assert found[b"HEAD"] == (found[b"GET"][0], b"")
    assert (b"content-encoding: gzip" in found[b"GET"][0]) == large


def test_keys_that_leave_the_file_open_nothing(root, tmp_path, monkeypatch, caplog) -> None:
    monkeypatch.setattr(locks, "SECONDS", 0.02)
    file, key, other = tmp_path / "keys", "a-long-and-random-key", "another-long-random-key"
    digests = [hashlib.sha256(one.encode()).hexdigest() for one in (key, other)]
    file.write_text(digests[0])
    with client_of(config_of(root, api_keys_file=str(file))) as client:

        def opened() -> list[bool]:
            tried = [client.get("/v1/top", headers={"X-API-Key": one}).status_code for one in (key, other)]
            return [status == 200 for status in [*tried, client.get("/v1/top").status_code]]

        assert opened() == [True, False, False]
        for content in ("", "no digest", None, ""):
            file.unlink() if content is None else file.write_text(content)
            soon(lambda: opened() == [False] * 3)
        file.write_text("\n".join(digests))
        soon(lambda: opened() == [True, True, False])
        file.write_text(digests[1])
        soon(lambda: opened() == [False, True, False])
    assert [record.getMessage()[:29] for record in caplog.records if record.levelname == "ERROR"] == [
        "its keys are refused from now"
    ]


def test_a_store_that_is_replaced_restored_emptied_or_lost_is_seen(root, tmp_path) -> None:
    config, path = config_of(root), root / "data/denver/forecasts.sqlite"
    with closing(store_of(config_of(tmp_path / "other"))) as store:
        number = store.put(grid(seed=5), usual(grid()), FACTS, ISSUED + pd.Timedelta(hours=1))
    backup = shutil.copy(path, tmp_path / "backup")
    keeper = Keeper(store_of(config), lambda: ISSUED + pd.Timedelta(hours=1))
    first = keeper.served
    assert first is not None
    assert (first.stored.id, keeper.stale_reason()) == (number, None)

    os.replace(tmp_path / "other/data/denver/forecasts.sqlite", path)
    keeper.look()
    assert keeper.served.tag != first.tag  # although both grids have the number 1
    assert keeper.served.grid.intensity.sum() != first.grid.intensity.sum()
    assert keeper.stale_reason() is None

    with closing(sqlite3.connect(path)) as connection, connection:
        connection.executescript("DELETE FROM state; DELETE FROM grids")
    keeper.look()
    assert keeper.stale_reason() == "the store has held no grid since 2024-09-30T07:00:00Z"

    path.unlink()
    keeper.look()
    assert "not been readable" in keeper.stale_reason()
    assert not path.exists()  # a service makes no empty store where one was lost

    path.write_bytes(b"")
    keeper.look()
    assert "not been readable" in keeper.stale_reason()

    os.replace(backup, path)
    keeper.look()
    assert keeper.served.tag == first.tag
    assert keeper.stale_reason() is None
    keeper.close()


def test_a_store_that_is_locked_is_said_and_heard_again(root, monkeypatch) -> None:
    monkeypatch.setattr(keeping, "SECONDS", 0.02)
    monkeypatch.setattr(keeping, "LATE", 0.1)
    with client_of(config_of(root)) as client:

        def reason() -> str | None:
            return client.get("/v1/grids/latest").json()["stale_reason"]

        assert reason() is None
        with closing(sqlite3.connect(root / "data/denver/forecasts.sqlite")) as holder:
            for line in ("PRAGMA locking_mode=EXCLUSIVE", "BEGIN EXCLUSIVE", "UPDATE state SET error=NULL"):
                soon(lambda line=line: _done(holder, line))
            soon(lambda: "not answered since" in (reason() or ""))
        soon(lambda: reason() is None)


def _done(connection: sqlite3.Connection, line: str) -> bool:
    try:
        connection.execute(line)
    except sqlite3.OperationalError:
        return False
    return True


@pytest.mark.skipif(not (shutil.which("nginx") and shutil.which("openssl")), reason="nginx or openssl is not installed")
def test_behind_nginx(root) -> None:
    """The example of deploy/ as it stands, but for its addresses and one time."""
    config = config_of(root, rate_limit="5/minute", hosts=["risk.example.org"], proxies=["127.0.0.1"])
    with served(app_of(config)) as port, nginx(root, port) as secure:
        context = ssl._create_unverified_context()

        def through(path: str, **headers: str) -> int:
            url, headers = f"https://127.0.0.1:{secure}{path}", {"Host": "risk.example.org", **headers}
            try:
                with urllib.request.urlopen(urllib.request.Request(url, headers=headers), context=context) as found:
                    assert found.headers["content-security-policy"].startswith("default-src 'none'")
                    return found.status
            except HTTPError as error:
                return error.code

        found = [through("/v1/top", **{"X-Forwarded-For": f"192.0.2.{i}"}) for i in range(7)]
        assert found == [200] * 5 + [429] * 2  # one client, whatever it says
        assert through("/healthz") == 200
        held = [connected(secure) for _ in range(60)]
        assert through("/healthz") == 200
        soon(lambda: not any(map(is_open, held)))
        for one in held:
            one.close()


@contextmanager
def nginx(folder: Path, port: int) -> Iterator[int]:
    """nginx with the example before a service at `port`; its own port."""
    with socket.create_server(("127.0.0.1", 0)) as free:
        own = free.getsockname()[1]
    key, certificate = folder / "key.pem", folder / "certificate.pem"
    made = ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-subj", "/CN=risk.example.org"]
    subprocess.run([*made, "-keyout", key, "-out", certificate], check=True, capture_output=True)
    example = (ROOT / "deploy/nginx.conf").read_text()
    changes = {
        "listen 443 ssl": f"listen 127.0.0.1:{own} ssl",
        "127.0.0.1:8000": f"127.0.0.1:{port}",
        "client_header_timeout 10s": "client_header_timeout 1s",
        "/etc/ssl/certs/risk.example.org.pem": str(certificate),
        "/etc/ssl/private/risk.example.org.key": str(key),
    }
    for old, new in changes.items():
        assert old in example
        example = example.replace(old, new)
    (folder / "site.conf").write_text(example)
    paths = "".join(
        f"{name}_temp_path {folder}/{name};" for name in ("client_body", "proxy", "fastcgi", "uwsgi", "scgi")
    )
    own_user = "user root;" if os.geteuid() == 0 else ""
    (folder / "nginx.conf").write_text(
        f"{own_user} daemon off; pid {folder}/pid; error_log {folder}/error.log; events {{}}\n"
        f"http {{ access_log off; {paths} include {folder}/site.conf; }}\n"
    )
    process = subprocess.Popen(["nginx", "-p", folder, "-c", folder / "nginx.conf"], stderr=subprocess.PIPE)
    try:
        soon(lambda: _listens(own) or process.poll() is not None)
        assert process.poll() is None, process.communicate()[1].decode()
        yield own
    finally:
        process.terminate()
        process.wait(20)


def _listens(port: int) -> bool:
    try:
        socket.create_connection(("127.0.0.1", port), 1).close()
    except OSError:
        return False
    return True
