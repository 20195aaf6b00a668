"""Files in object stores: S3 by moto, and what is said where a store cannot be opened."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from fetched_city import bronze, pull, record, rows, stages_of, truth
from publisher import Publisher
from publisher import Table as Records

from stforecast.errors import FetchError
from stforecast.pipeline.stages import Stages

KEYS = {"AWS_ACCESS_KEY_ID": "key", "AWS_SECRET_ACCESS_KEY": "secret", "AWS_DEFAULT_REGION": "us-east-1"}


@pytest.fixture(scope="module")
def endpoint() -> Iterator[str]:
    """A stand-in for S3 on this machine."""
    pytest.importorskip("moto", reason="moto stands in for S3")
    pytest.importorskip("flask_cors", reason="moto's server needs flask and flask-cors")
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    command = [sys.executable, "-m", "moto.server", "-H", "127.0.0.1", "-p", str(port)]
    server = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, env={**os.environ, **KEYS})
    try:
        for _ in range(600):
            with socket.socket() as probe:
                if probe.connect_ex(("127.0.0.1", port)) == 0:
                    break
            time.sleep(0.1)
        yield f"127.0.0.1:{port}"
    finally:
        server.kill()
        server.wait()


def export(first: int, last: int, offence: str = "theft") -> bytes:
    """Rows as a file."""
    records = Records()
    records.put(rows(first, last, offence))
    publisher = Publisher(records)
    publisher.server.server_close()
    return publisher.export()


def test_new_changed_and_removed_files(endpoint: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from pyarrow.fs import S3FileSystem

    for name, value in KEYS.items():
        monkeypatch.setenv(name, value)
    store = S3FileSystem(endpoint_override=endpoint, scheme="http", region="us-east-1", allow_bucket_creation=True)
    store.create_dir("city")

    def put(name: str, content: bytes) -> None:
        with store.open_output_stream(f"city/reports/{name}") as target:
            target.write(content)

    def names(stages: Stages) -> list[str]:
        return [path.split("-", 3)[-1] for path in sorted(bronze(stages))]

    put("2024.csv", export(0, 100))
    put("2025.csv", export(100, 200))
    put("readme.md", b"not reports")
    url = f"s3://city/reports/?endpoint_override={endpoint}&scheme=http&region=us-east-1"
    tables = [{"kind": "file", "url": url}]
    stages = stages_of(tmp_path, "", "file", tables=tables, max_shrink=1)
    assert pull(stages)
    assert record(stages) == truth(rows(0, 200))
    assert not pull(stages)
    put("2026.csv", export(200, 250))
    assert pull(stages)
    assert record(stages) == truth(rows(0, 250))
    assert len(names(stages)) == 3
    put("2025.csv", export(100, 190, "burglary"))
    assert pull(stages)
    assert record(stages) == truth(rows(0, 100) | rows(100, 190, "burglary") | rows(200, 250))
    store.delete_file("city/reports/2024.csv")
    assert pull(stages)
    assert record(stages) == truth(rows(100, 190, "burglary") | rows(200, 250))
    assert "secret" not in "".join(path.read_text() for path in tmp_path.rglob("manifest.json"))
    gone = stages_of(tmp_path, "", "file", tables=[{"kind": "file", "url": url.replace("/reports/", "/none/")}])
    with pytest.raises(FetchError, match="no files of reports"):
        pull(gone)


@pytest.mark.parametrize(
    ("url", "said"),
    [
        ("az://container/reports/", "AZURE_STORAGE_ACCOUNT"),
        ("abfs://container/reports/", "account"),
        ("s3://", "give an address"),
    ],
)
def test_a_store_that_cannot_be_opened_is_said(
    url: str, said: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("AZURE_STORAGE_ACCOUNT", raising=False)
    with pytest.raises(Exception, match=said):
        pull(stages_of(tmp_path, "", "file", tables=[{"kind": "file", "url": url}]))


def test_stores_of_google_and_azure_are_opened(monkeypatch: pytest.MonkeyPatch) -> None:
    from stforecast.sources.file_downloads import _opened

    monkeypatch.setenv("AZURE_STORAGE_ACCOUNT", "account")
    for url in ("gs://bucket/reports/", "az://bucket/reports/"):
        assert _opened(url)[1].rstrip("/") == "bucket/reports"
