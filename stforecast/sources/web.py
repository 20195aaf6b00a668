"""Requests to publishers over HTTP(S): polite, bounded, asked again where an answer is cut short.

An answer that is wrong in itself (an HTML page in place of rows, half a document) is asked for again like one that did
not come: `urllib3.Retry` says how often and after how long, and honours Retry-After.
"""

from __future__ import annotations

import ipaddress
import re
import socket
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar
from urllib.parse import urljoin, urlsplit

import requests
import urllib3
from urllib3.response import BaseHTTPResponse

from stforecast import __version__
from stforecast.errors import FetchError, in_brief
from stforecast.files import read_json, write_json
from stforecast.sources.page import UnusableError

AGAIN = (408, 425, 429, 500, 502, 503, 504)
"""Statuses that may be others in a while."""
REDIRECTS, MOST_REDIRECTS = (301, 302, 303, 307, 308), 5
PAUSE = 0.25
"""Least seconds between two requests."""
TIMEOUT = (15, 120)
"""Seconds until a connection stands, and until its next bytes come."""
PATIENCE = 600
"""Seconds that a publisher may ask to be left alone; more is for another time."""
MOST, MOST_OF_FILE = 512 << 20, 64 << 30
"""Bytes of an answer that is held in memory, and of a file."""
CHUNK = 1 << 20
Made = TypeVar("Made")


class Retry(urllib3.Retry):
    """The schedule of attempts, with an end to what a publisher may ask for."""

    def get_retry_after(self, response: BaseHTTPResponse) -> float | None:
        """Seconds that the publisher asks to wait.

        Raises:
            FetchError: more than PATIENCE.
        """
        seconds = super().get_retry_after(response)
        if seconds is not None and seconds > PATIENCE:
            raise FetchError(f"the publisher asks to be left alone for {seconds / 60:,.0f} minutes. Run it again then.")
        return seconds


RETRY = Retry(total=8, backoff_factor=0.5, backoff_jitter=0.5, respect_retry_after_header=True)


@dataclass(frozen=True)
class Answer:
    """What came: the body, decoded, and the headers."""

    body: bytes
    headers: Mapping[str, str]


class Web:
    """A publisher's servers. retry: of each request; pause: least seconds between two."""

    def __init__(self, retry: urllib3.Retry = RETRY, pause: float = PAUSE) -> None:
        self._session, self._retry, self._pause, self._next = requests.Session(), retry, pause, 0.0
        self._session.headers["User-Agent"] = f"stforecast/{__version__}"

    def ask(
        self,
        url: str,
        read: Callable[[Answer], Made],
        params: Mapping[str, Any] | None = None,
        json: Any = None,
        headers: Mapping[str, str] | None = None,
        first: int | None = None,
    ) -> Made:
        """What `read` makes of an answer, which is asked for again where `read` finds it UnusableError.

        Args:
            url: the address.
            read: of an answer.
            params: of the query.
            json: body of a POST; without it the request is a GET.
            headers: sent to the host of `url` alone, as tokens are.
            first: bytes behind which no more are read.

        Raises:
            FetchError: there is no answer, no usable one, or one that refuses.
        """

        def once() -> Made:
            with self._open(url, params, json, headers or {}) as response:
                return read(Answer(_body(response, first), response.headers))

        return self._repeated(url, once)

    def download(self, url: str, target: Path, known: Mapping[str, str], most: int = MOST_OF_FILE) -> dict[str, str]:
        """A file, on from what an interrupted download left at `target`.

        Args:
            url: the address.
            target: the file; what is known of the one that it is part of stands beside it, as .json.
            known: ETag and Last-Modified of the file that is there already.
            most: bytes that it may have.

        Returns:
            ETag and Last-Modified, as far as given; `target` is whole then. Equal to `known`, and no `target`: it has
            not changed.

        Raises:
            FetchError: as `ask`.
        """
        note = target.with_name(f"{target.name}.json")

        def once() -> dict[str, str]:
            begun = read_json(note) if note.is_file() and target.is_file() else {}
            had = target.stat().st_size if begun else 0
            if begun and begun["complete"]:
                return dict(begun["file"])
            part = begun.get("file", {})
            mark = next((part[name] for name in VALIDATORS if name in part and not part[name].startswith("W/")), None)
            headers = {} if begun else _if_changed(known)
            if had and mark:
                headers = {"Range": f"bytes={had}-", "If-Range": mark}
            # a range is one of the bytes as they are sent
            with self._open(url, None, None, headers | {"Accept-Encoding": "identity"}) as response:
                if response.status_code == 304:
                    return dict(known)
                goes_on = response.status_code == 206 and _first_byte(response) == had
                found = {name: response.headers[name] for name in VALIDATORS if name in response.headers}
                file = part if goes_on else found
                write_json(note, {"file": file, "complete": False})
                with target.open("ab" if goes_on else "wb") as handle:
                    size = handle.tell()
                    for chunk in response.iter_content(CHUNK):
                        if not size:
                            refuse_page(chunk, response.headers)
                        if (size := size + len(chunk)) > most:
                            raise FetchError(f"is larger than {most:,} bytes. Name a smaller file.")
                        handle.write(chunk)
            if not size:
                raise UnusableError("is empty")
            write_json(note, {"file": file, "complete": True})
            return file

        return self._repeated(url, once)

    def _repeated(self, url: str, once: Callable[[], Made]) -> Made:
        retry: urllib3.Retry = self._retry
        while True:
            response: BaseHTTPResponse | None = None
            reason: Exception
            try:
                return once()
            except FetchError as error:
                raise FetchError(f"{url}: {error}") from error
            except requests.exceptions.SSLError as error:
                said = f"its certificate cannot be trusted ({in_brief(error)})"
                raise FetchError(f"{url}: {said}. Check the address, and this machine's clock.") from error
            except _RefusedError as error:
                reason, response = error, error.response
            except (UnusableError, requests.RequestException, urllib3.exceptions.HTTPError) as error:
                reason = error
            try:
                retry = retry.increment("GET", urlsplit(url).path, response, None if response else reason)
                retry.sleep(response)
            except FetchError as error:
                raise FetchError(f"{url}: {error}") from None
            except urllib3.exceptions.MaxRetryError:
                said = f"no usable answer after {len(retry.history) + 1} attempts: {in_brief(reason)}"
                raise FetchError(f"{url}: {said}. Try again later.") from None

    @contextmanager
    def _open(
        self, url: str, params: Mapping[str, Any] | None, json: Any, headers: Mapping[str, str]
    ) -> Iterator[requests.Response]:
        """The answer to one request, its body not read yet; redirections are followed to public addresses alone."""
        host, here = urlsplit(url).netloc, url
        for _ in range(MOST_REDIRECTS + 1):
            time.sleep(max(0.0, self._next - time.monotonic()))
            self._next = time.monotonic() + self._pause
            mine = headers if urlsplit(here).netloc == host else {}
            with closing(
                self._session.request(
                    "GET" if json is None else "POST",
                    here,
                    params=params,
                    json=json,
                    headers=dict(mine),
                    stream=True,
                    timeout=TIMEOUT,
                    allow_redirects=False,
                )
            ) as response:
                if response.status_code in REDIRECTS and "Location" in response.headers:
                    there = urljoin(response.url, response.headers["Location"])
                    check_redirect(here, there, host)
                    here, params = there, None
                    continue
                if response.status_code in AGAIN:
                    raise _RefusedError(f"status {response.status_code}", response.raw)
                if response.status_code >= 400:
                    text = response.raw.read(2000, decode_content=True).decode(errors="replace")
                    raise FetchError(f"is refused with status {response.status_code} ({_plain(text)})")
                yield response
                return
        raise FetchError("leads in a circle of redirections. Correct the address.")


VALIDATORS = ("ETag", "Last-Modified")


class _RefusedError(Exception):
    """An answer that may be another one in a while."""

    def __init__(self, reason: str, response: BaseHTTPResponse) -> None:
        super().__init__(reason)
        self.response = response


def refuse_page(begin: bytes, headers: Mapping[str, str]) -> None:
    """An HTML page is no file of reports, whatever its status.

    Raises:
        UnusableError: it is one.
    """
    kind = headers.get("Content-Type", "")
    if "html" in kind or re.match(rb"\s*<(!doctype html|html|head|body)\b", begin[:200].lower()):
        raise UnusableError(
            f"an HTML page came in place of rows: {in_brief(Exception(begin[:150].decode(errors='replace')))}"
        )


def _plain(text: str) -> str:
    """A page in a few words."""
    return " ".join(re.sub("<[^>]*>", " ", text).split())[:150]


def _body(response: requests.Response, first: int | None) -> bytes:
    parts, size = [], 0
    for chunk in response.iter_content(CHUNK):
        if (size := size + len(chunk)) > MOST:
            raise FetchError(f"answers with more than {MOST:,} bytes.")
        parts.append(chunk)
        if first is not None and size > first:
            break
    body = b"".join(parts)
    refuse_page(body, response.headers)
    return body


def _if_changed(known: Mapping[str, str]) -> dict[str, str]:
    names = {"ETag": "If-None-Match", "Last-Modified": "If-Modified-Since"}
    return {names[name]: value for name, value in known.items() if name in names}


def _first_byte(response: requests.Response) -> int:
    found = re.match(r"bytes (\d+)-", response.headers.get("Content-Range", ""))
    return int(found[1]) if found else -1


def check_redirect(here: str, there: str, host: str) -> None:
    """A publisher may send us to another public address, and nowhere else.

    Raises:
        FetchError: it is a private one, no HTTP, or one without the encryption that there was.
    """
    old, new = urlsplit(here), urlsplit(there)
    if new.scheme not in ("http", "https") or not new.hostname:
        raise FetchError(f"sends on to {new.scheme}:, which is not followed.")
    if (old.scheme, new.scheme) == ("https", "http"):
        raise FetchError(f"sends on from https to http ({new.hostname}), which is not followed.")
    if new.netloc == host:
        return
    try:
        found = socket.getaddrinfo(new.hostname, new.port or 443, type=socket.SOCK_STREAM)
    except OSError as error:
        raise UnusableError(f"sends on to {new.hostname}, which is not found") from error
    for *_, address in found:
        if not ipaddress.ip_address(str(address[0]).partition("%")[0]).is_global:
            raise FetchError(f"sends on to {new.hostname}, a private address, which is not followed.")
