"""What an answer over HTTP(S) is held against: no page in place of rows, the rest of the same file, no way to private
addresses."""

from __future__ import annotations

import ipaddress
import re
import socket
from collections.abc import Mapping
from typing import Any
from urllib.parse import urljoin, urlsplit

import requests

from stforecast.errors import FetchError, in_brief
from stforecast.sources.page import UnusableError

VALIDATORS = ("ETag", "Last-Modified")
"""Headers by which a file is known to be the same."""


def refuse_page(begin: bytes, headers: Mapping[str, str]) -> None:
    """An HTML page is no file of reports, whatever its status.

    Raises:
        UnusableError: it is one.
    """
    kind, start = headers.get("Content-Type", ""), begin[:200].lstrip(b"\xef\xbb\xbf \t\r\n").lower()
    if re.match(rb"<(!doctype html|html|head|body)\b", start) or ("html" in kind and start.startswith(b"<")):
        raise UnusableError(
            f"an HTML page came in place of rows: {in_brief(Exception(begin[:150].decode(errors='replace')))}"
        )


def plain_text(text: str) -> str:
    """A page in a few words."""
    return " ".join(re.sub("<[^>]*>", " ", text).split())[:150]


def if_changed(known: Mapping[str, str]) -> dict[str, str]:
    """Headers that ask for a file only if it is not the one that is known."""
    names = {"ETag": "If-None-Match", "Last-Modified": "If-Modified-Since"}
    return {names[name]: value for name, value in known.items() if name in names}


def length_of(response: requests.Response) -> int | None:
    """Bytes of a file, where it comes as it is."""
    packed = response.headers.get("Content-Encoding", "identity") != "identity"
    text = response.headers.get("Content-Length", "")
    return int(text) if text.isdecimal() and not packed else None


def is_the_rest(response: requests.Response, found: Mapping[str, str], begun: Mapping[str, Any], had: int) -> bool:
    """Whether a range is the rest of the file that was begun, of which there are `had` bytes."""
    same = bool(begun) and all(begun["file"].get(name, value) == value for name, value in found.items())
    span = re.fullmatch(r"bytes (\d+)-\d+/(\d+)", response.headers.get("Content-Range", ""))
    packed = response.headers.get("Content-Encoding", "identity") != "identity"
    return same and not packed and span is not None and (int(span[1]), int(span[2])) == (had, begun["bytes"])


def redirected(here: str, location: str, host: str) -> str:
    """Where an answer sends us on to: another public address, and nowhere else.

    Raises:
        FetchError: it is a private one, no HTTP, or one without the encryption that there was.
    """
    try:
        there = urljoin(here, location)
        old, new = urlsplit(here), urlsplit(there)
        port = new.port or 443
    except ValueError:
        raise FetchError("sends on to an address that is none, which is not followed.") from None
    if new.scheme not in ("http", "https") or not new.hostname:
        raise FetchError(f"sends on to {new.scheme}:, which is not followed.")
    if (old.scheme, new.scheme) == ("https", "http"):
        raise FetchError(f"sends on from https to http ({new.hostname}), which is not followed.")
    if new.netloc == host:
        return there
    try:
        found = socket.getaddrinfo(new.hostname, port, type=socket.SOCK_STREAM)
    except (OSError, UnicodeError) as error:
        raise UnusableError(f"sends on to {new.hostname}, which is not found") from error
    for *_, address in found:
        if not ipaddress.ip_address(str(address[0]).partition("%")[0]).is_global:
            raise FetchError(f"sends on to {new.hostname}, a private address, which is not followed.")
    return there
