"""Requests to publishers over HTTP(S): polite, bounded, asked again where an answer is cut short.

An answer that is wrong in itself (an HTML page in place of rows, half a document) is asked for again like one that did
not come: `urllib3.Retry` says how often and after how long, and honours Retry-After.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar
from urllib.parse import urlsplit

import requests
import urllib3
from urllib3.response import BaseHTTPResponse

from stforecast import __version__
from stforecast.errors import FetchError, in_brief
from stforecast.files import read_json, write_json
from stforecast.sources.answers import (
    VALIDATORS,
    if_changed,
    is_the_rest,
    length_of,
    plain_text,
    redirected,
    refuse_page,
)
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
CHUNK = 1 << 16
"""Bytes unpacked at once: what is packed a thousandfold shows before it fills the memory."""
Made = TypeVar("Made")


class Retry(urllib3.Retry):
    """The schedule of attempts, with an end to what a publisher may ask for."""

    def get_retry_after(self, response: BaseHTTPResponse) -> float | None:
        """Seconds that the publisher asks to wait.

        Raises:
            FetchError: more than PATIENCE.
        """
        try:
            seconds = super().get_retry_after(response)
        except urllib3.exceptions.InvalidHeader:
            return None
        if seconds is not None and seconds > PATIENCE:
            raise FetchError(f"the publisher asks to be left alone for {seconds / 60:,.0f} minutes. Run it again then.")
        return seconds


RETRY = Retry(total=8, connect=3, backoff_factor=0.5, backoff_jitter=0.5, respect_retry_after_header=True)
"""A machine without a network learns it at once: connections that do not come about are tried a few times only."""


@dataclass(frozen=True)
class Answer:
    """What came: the body, decoded, and the headers."""

    body: bytes
    headers: Mapping[str, str]


def _counted(reason: Exception) -> Exception:
    """What an attempt without an answer counts as: one that found no server is told from one that was cut short."""
    cause = getattr(reason.args[0] if reason.args else None, "reason", None)
    return cause if isinstance(cause, urllib3.exceptions.NewConnectionError) else reason


def _said(reason: Exception) -> str:
    """Why an attempt failed, in words."""
    match _counted(reason):
        case urllib3.exceptions.NameResolutionError():
            return "its server is not found, or this machine has no network"
        case urllib3.exceptions.NewConnectionError():
            return "no connection to its server"
    return in_brief(reason)


class _Session(requests.Session):
    """Where an answer leads is looked at here and not by the library, which reads all of it first."""

    def get_redirect_target(self, resp: requests.Response) -> None:
        """Nowhere."""


class Web:
    """A publisher's servers. retry: of each request; pause: least seconds between two."""

    def __init__(self, retry: urllib3.Retry = RETRY, pause: float = PAUSE) -> None:
        self._session, self._retry, self._pause, self._next = _Session(), retry, pause, 0.0
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

        try:
            return self._repeated(url, once)
        except FetchError as error:
            said = str(error)
            for secret in (headers or {}).values():  # a publisher may say again what was sent
                said = said.replace(secret, "…")
            raise FetchError(said) from None

    def download(self, url: str, target: Path, known: Mapping[str, str], most: int | None = None) -> dict[str, str]:
        """A file, on from what an interrupted download left at `target`.

        Args:
            url: the address.
            target: the file; what is known of the one that it is part of stands beside it, as .json.
            known: ETag and Last-Modified of the file that is there already.
            most: bytes that it may have; default MOST_OF_FILE.

        Returns:
            ETag and Last-Modified, as far as given; `target` is whole then. Equal to `known`, and no `target`: it has
            not changed.

        Raises:
            FetchError: as `ask`.
        """
        most = MOST_OF_FILE if most is None else most
        note = target.with_name(f"{target.name}.json")

        def once() -> dict[str, str]:
            begun = read_json(note) if note.is_file() and target.is_file() else {}
            if begun.get("complete"):
                return dict(begun["file"])
            had, marks = (target.stat().st_size, begun["file"]) if begun else (0, {})
            mark = next((marks[name] for name in VALIDATORS if not marks.get(name, "W/").startswith("W/")), None)
            headers = {} if begun else if_changed(known)
            if had and mark and begun["bytes"]:
                headers = {"Range": f"bytes={had}-", "If-Range": mark}
            # a range is one of the bytes as they are sent
            with self._open(url, None, None, headers | {"Accept-Encoding": "identity"}, (416,)) as response:
                if response.status_code == 304 and known and not begun:
                    return dict(known)
                found = {name: response.headers[name] for name in VALIDATORS if name in response.headers}
                goes_on = response.status_code == 206
                if response.status_code != 200 and not (goes_on and is_the_rest(response, found, begun, had)):
                    note.unlink(missing_ok=True)
                    raise UnusableError(f"status {response.status_code} in place of the file, or of the rest of it")
                file = dict(begun["file"]) if goes_on else found
                facts = {"file": file, "bytes": begun["bytes"] if goes_on else length_of(response)}
                write_json(note, {**facts, "complete": False})
                with target.open("ab" if goes_on else "wb") as handle:
                    size = handle.tell()
                    for chunk in response.iter_content(CHUNK):
                        if not size:
                            refuse_page(chunk, response.headers)
                        if (size := size + len(chunk)) > most:
                            target.unlink()
                            raise FetchError(f"is larger than {most:,} bytes. Name a smaller file.")
                        handle.write(chunk)
                    handle.flush()
                    os.fsync(handle.fileno())
            if not size:
                raise UnusableError("is empty")
            write_json(note, {**facts, "complete": True})
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
                if "certificate" in str(error).lower():
                    said = f"its certificate cannot be trusted ({in_brief(error)})"
                    raise FetchError(f"{url}: {said}. Check the address, and this machine's clock.") from error
                reason = error
            except _RefusedError as error:
                reason, response = error, error.response
            except (UnusableError, requests.RequestException, urllib3.exceptions.HTTPError) as error:
                reason = error
            try:
                retry = retry.increment("GET", urlsplit(url).path, response, None if response else _counted(reason))
                retry.sleep(response)
            except FetchError as error:
                raise FetchError(f"{url}: {error}") from None
            except urllib3.exceptions.MaxRetryError:
                said = f"no usable answer after {len(retry.history) + 1} attempts: {_said(reason)}"
                raise FetchError(f"{url}: {said}. Try again later.") from None

    @contextmanager
    def _open(
        self,
        url: str,
        params: Mapping[str, Any] | None,
        json: Any,
        headers: Mapping[str, str],
        told: tuple[int, ...] = (),
    ) -> Iterator[requests.Response]:
        """The answer to one request, its body not read yet; redirections are followed to public addresses alone.

        Statuses of failures are errors, but for those in `told`.
        """
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
                    here, params = redirected(response.url, response.headers["Location"], host), None
                    continue
                if response.status_code in AGAIN:
                    raise _RefusedError(f"status {response.status_code}", response.raw)
                if response.status_code >= 400 and response.status_code not in told:
                    text = response.raw.read(2000, decode_content=True).decode(errors="replace")
                    raise FetchError(f"is refused with status {response.status_code} ({plain_text(text)})")
                yield response
                return
        raise FetchError("leads in a circle of redirections. Correct the address.")


class _RefusedError(Exception):
    """An answer that may be another one in a while."""

    def __init__(self, reason: str, response: BaseHTTPResponse) -> None:
        super().__init__(reason)
        self.response = response


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
