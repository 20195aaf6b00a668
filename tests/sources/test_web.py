"""Requests: where redirections may lead, what is too large, tokens, certificates, downloads in pieces."""

from __future__ import annotations

import gzip
import ssl
import subprocess
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
import requests
from fetched_city import FAST, KINDS, bronze, manifest, pull, record, rows, stages_of, truth
from publisher import Asked, Publisher, Reply, serving
from publisher import Table as Records

from stforecast.config.sections import Table
from stforecast.errors import FetchError
from stforecast.pipeline.stages import Stages
from stforecast.sources import answers
from stforecast.sources import web as web_module
from stforecast.sources.socrata import TOKEN
from stforecast.sources.web import Retry, Web

SECRET = "a-token-of-ours"


def records_of(number: int = 50) -> Records:
    found = Records()
    found.put(rows(0, number))
    return found


def refused(publisher: Publisher, stages: Stages, fault: Callable[[Asked, Reply], Reply], said: str) -> None:
    """A fetch ends with words, and bronze is as it was."""
    before = bronze(stages)
    publisher.fault = fault
    with pytest.raises(FetchError, match=said):
        pull(stages, whole=True)
    publisher.fault = None
    assert bronze(stages) == before


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize(
    ("there", "said"),
    [
        ("http://10.0.0.1/x", "private address"),
        ("http://127.0.0.2/x", "private address"),
        ("http://[::1]/x", "private address"),
        ("http://169.254.169.254/latest/meta-data", "private address"),
        ("file:///etc/passwd", "sends on to file:"),
        ("//[nonsense", "an address that is none"),
        ("http://host:99999/", "an address that is none"),
    ],
)
def test_redirections_to_private_places_are_refused(kind: str, there: str, said: str, tmp_path: Path) -> None:
    with serving(records_of()) as publisher:
        stages = stages_of(tmp_path, publisher.url, kind)
        pull(stages)
        refused(publisher, stages, lambda asked, reply: Reply(b"", status=302, headers={"Location": there}), said)


@pytest.mark.parametrize("kind", KINDS)
def test_a_redirection_to_another_path_is_followed_and_a_circle_is_not(kind: str, tmp_path: Path) -> None:
    with serving(records_of()) as publisher:
        stages = stages_of(tmp_path, publisher.url, kind)
        moved = lambda asked, reply: Reply(b"", status=307, headers={"Location": "/circle"})  # noqa: E731
        refused(publisher, stages, moved, "circle")
        kept: dict[str, Reply] = {}

        def once(asked: Asked, reply: Reply) -> Reply:
            place = f"/elsewhere/{asked.number}"
            if asked.text.startswith("/elsewhere"):
                return kept.pop(asked.text)
            kept[place] = reply
            return Reply(b"", status=302, headers={"Location": place})

        publisher.fault = once
        pull(stages)
        assert record(stages) == truth(publisher.table.rows)


@pytest.mark.parametrize("kind", KINDS)
def test_too_much_is_refused(kind: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with serving(records_of()) as publisher:
        stages = stages_of(tmp_path, publisher.url, kind)
        pull(stages)
        monkeypatch.setattr(web_module, "MOST", 3_000_000)
        monkeypatch.setattr(web_module, "MOST_OF_FILE", 3_000_000)
        large = bytes(4_000_000)
        refused(publisher, stages, lambda asked, reply: replace(reply, body=large), "more than|larger than")
        bomb = gzip.compress(large)
        packed = {"Content-Encoding": "gzip"}
        refused(publisher, stages, lambda asked, reply: replace(reply, body=bomb, headers=packed), "more than|larger")


@pytest.mark.parametrize("kind", KINDS)
def test_who_asks_for_an_hour_is_left_alone(kind: str, tmp_path: Path) -> None:
    with serving(records_of()) as publisher:
        stages = stages_of(tmp_path, publisher.url, kind)
        busy = Reply(b"", status=429, headers={"Retry-After": "3600"})
        refused(publisher, stages, lambda asked, reply: busy, "left alone for 60 minutes")
        assert len(publisher.asked) == 1
        skewed = Reply(b"", status=503, headers={"Retry-After": "Fri, 31 Dec 2100 23:59:59 GMT"})
        refused(publisher, stages, lambda asked, reply: skewed, "left alone")


def test_the_wait_that_is_asked_for_is_kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    waits: list[float] = []
    monkeypatch.setattr("time.sleep", waits.append)
    with serving(records_of()) as publisher:
        busy = Reply(b"", status=429, headers={"Retry-After": "7"})
        publisher.fault = lambda asked, reply: busy if asked.number == 1 else reply
        pull(stages_of(tmp_path, publisher.url, "file"), web=Web(Retry(total=2, backoff_factor=0), pause=0))
    assert 7 in waits


@pytest.mark.parametrize("kind", KINDS)
def test_a_certificate_of_its_own_is_refused(kind: str, tmp_path: Path) -> None:
    key, certificate = tmp_path / "key.pem", tmp_path / "certificate.pem"
    command = ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-subj", "/CN=127.0.0.1", "-days", "2"]
    subprocess.run([*command, "-keyout", str(key), "-out", str(certificate)], check=True, capture_output=True)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate, key)
    with (
        serving(records_of(), context=context) as publisher,
        pytest.raises(FetchError, match="certificate cannot be trusted"),
    ):
        pull(stages_of(tmp_path, publisher.url, kind))


def test_https_does_not_become_http() -> None:
    with pytest.raises(FetchError, match="from https to http"):
        answers.redirected("https://a.example/x", "http://a.example/x", "a.example")
    assert answers.redirected("http://a.example/x", "https://a.example/x", "a.example").startswith("https")


# tokens


def test_a_token_goes_to_its_portal_alone_and_is_never_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(TOKEN, SECRET)
    monkeypatch.setattr(answers.ipaddress, "ip_address", lambda text: type("Public", (), {"is_global": True}))
    said: list[str] = []
    with serving(records_of()) as publisher, serving(records_of()) as stranger:
        stages = stages_of(tmp_path, publisher.url, "socrata", said=said)

        def away(asked: Asked, reply: Reply) -> Reply:
            return Reply(b"", status=302, headers={"Location": f"{stranger.url}{'/resource/abcd-1234.csv'}?$query=no"})

        stranger.fault = lambda asked, reply: Reply(b"no", status=400)
        publisher.fault = away
        with pytest.raises(FetchError) as caught:
            pull(stages)
        assert publisher.asked[0].headers["X-App-Token"] == SECRET
        assert stranger.asked
        assert not any(SECRET in str(asked.headers) for asked in stranger.asked)
        echo = Reply(f"no such token: {SECRET}".encode(), status=400)
        publisher.fault = lambda asked, reply: echo
        with pytest.raises(FetchError) as echoed:
            pull(stages)
        publisher.fault = None
        pull(stages)
        told = [str(caught.value), str(echoed.value), *said, str(manifest(stages))]
        assert not any(SECRET in text for text in told)
        assert SECRET not in "".join(path.read_text() for path in tmp_path.rglob("*.json"))


def test_socrata_without_its_old_api_wants_a_token(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(TOKEN, raising=False)
    with serving(records_of(), limit=20) as publisher:
        publisher.old_api = False
        stages = stages_of(tmp_path, publisher.url, "socrata")
        with pytest.raises(FetchError, match=f"set {TOKEN} in the environment"):
            pull(stages)
        monkeypatch.setenv(TOKEN, SECRET)
        pull(stages)
        assert record(stages) == truth(publisher.table.rows)


@pytest.mark.parametrize("url", ["https://me:secret@a.example/x.csv", "s3://key:secret@bucket/x.csv"])
def test_no_password_stands_in_an_address(url: str) -> None:
    with pytest.raises(ValueError, match="environment"):
        Table(kind="file", url=url)


@pytest.mark.parametrize("kind", ["arcgis", "ckan"])
def test_what_is_not_public_is_said_at_once(kind: str, tmp_path: Path) -> None:
    body = b'{"error": {"code": 499, "message": "Token Required"}, "success": false}'
    with serving(records_of()) as publisher:
        stages = stages_of(tmp_path, publisher.url, kind)
        refused(publisher, stages, lambda asked, reply: Reply(body), "not public|refuses")
        assert len(publisher.asked) == 1


# a file that is downloaded in pieces


@pytest.mark.parametrize("tag", ["strong", "weak", ""])
@pytest.mark.parametrize("ranges", [True, False])
def test_a_download_goes_on_where_it_was_cut(tag: str, ranges: bool, tmp_path: Path) -> None:
    with serving(records_of(6000)) as publisher:
        publisher.tag, publisher.ranges = tag, ranges
        size = len(publisher.export())
        publisher.fault = lambda asked, reply: replace(reply, cut=size // 3) if asked.number < 3 else reply
        stages = stages_of(tmp_path, publisher.url, "file")
        pull(stages)
        assert record(stages) == truth(publisher.table.rows)
        begun = [asked.headers.get("Range") for asked in publisher.asked]
        assert len(begun) == 3
        assert (begun[1] is not None) == bool(tag)
        assert not pull(stages)
        assert len(publisher.asked) == 4


@pytest.mark.parametrize("honest", [True, False])
@pytest.mark.parametrize("tag", ["strong", "weak", ""])
def test_a_file_that_changes_meanwhile_is_begun_anew(tag: str, honest: bool, tmp_path: Path) -> None:
    with serving(records_of(3000)) as publisher:
        publisher.tag = tag

        def fault(asked: Asked, reply: Reply) -> Reply:
            if asked.number == 1:
                publisher.table.put(rows(0, 1500, "burglary"))
                return replace(reply, cut=len(reply.body) // 2)
            if not honest and (asked_for := asked.headers.get("Range")) and reply.status == 200:
                first = int(asked_for[6:-1])  # sends a range of the new file, whatever was asked for
                span = {"Content-Range": f"bytes {first}-{len(reply.body) - 1}/{len(reply.body)}"}
                return replace(reply, body=reply.body[first:], status=206, headers=reply.headers | span)
            return reply

        publisher.fault = fault
        stages = stages_of(tmp_path, publisher.url, "file")
        pull(stages)
        assert record(stages) == truth(publisher.table.rows)


@pytest.mark.parametrize("status", [206, 416])
def test_a_range_that_was_not_asked_for_is_no_file(status: int, tmp_path: Path) -> None:
    with serving(records_of(3000)) as publisher:
        stages = stages_of(tmp_path, publisher.url, "file")
        pull(stages)
        publisher.table.put(rows(0, 10, "burglary"))
        part = {"Content-Range": "bytes 100-2999/3000"}
        odd = lambda asked, reply: replace(reply, body=reply.body[100:3000], status=status, headers=part)  # noqa: E731
        refused(publisher, stages, odd, f"status {status}")


def test_what_is_packed_on_the_way_is_unpacked_and_never_gone_on_with(tmp_path: Path) -> None:
    with serving(records_of(3000)) as publisher:

        def fault(asked: Asked, reply: Reply) -> Reply:
            packed = gzip.compress(publisher.export())
            cut = len(packed) // 2 if asked.number == 1 else None
            return replace(
                reply, body=packed, status=200, cut=cut, headers=reply.headers | {"Content-Encoding": "gzip"}
            )

        publisher.fault = fault
        stages = stages_of(tmp_path, publisher.url, "file")
        pull(stages)
        assert record(stages) == truth(publisher.table.rows)
        assert "Range" not in publisher.asked[1].headers


def test_a_pause_lies_between_two_requests(monkeypatch: pytest.MonkeyPatch) -> None:
    waits: list[float] = []
    monkeypatch.setattr("time.sleep", waits.append)
    with serving(records_of()) as publisher:
        web = Web(FAST, pause=0.25)
        for _ in range(3):
            web.ask(f"{publisher.url}/export.csv", lambda answer: answer.body)
    assert sum(waits) > 0.4
    assert requests.Session().headers["User-Agent"] != web._session.headers["User-Agent"]


@pytest.mark.parametrize(
    ("url", "said"), [("http://127.0.0.1:9/x", "no connection"), ("https://no.such.host.invalid/x", "not found")]
)
def test_a_machine_without_a_network_learns_it_soon(url: str, said: str) -> None:
    with pytest.raises(FetchError, match=rf"after 4 attempts: .*{said}"):
        Web(web_module.RETRY.new(backoff_factor=0, backoff_jitter=0), pause=0).ask(url, lambda answer: answer)
