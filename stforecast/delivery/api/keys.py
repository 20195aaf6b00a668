"""API keys. Only their SHA-256 digests are held; keys are long and random, so that a plain digest suffices."""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
import ipaddress
import os
import re
from pathlib import Path

from stforecast.errors import ConfigError

VARIABLE = "STFORECAST_API_KEYS"
SHORTEST = 16


def digests(file: str | None) -> tuple[str, ...]:
    """The digests of the keys in `service.api_keys_file` and in STFORECAST_API_KEYS.

    Raises:
        ConfigError: the file cannot be read or holds something else, or a key is short.
    """
    found = []
    if file is not None:
        try:
            lines = Path(file).read_text(encoding="utf-8").splitlines()
        except (OSError, UnicodeDecodeError) as error:
            raise ConfigError(f"service.api_keys_file: {file} cannot be read ({error}).") from error
        found = [line.split("#")[0].strip().lower() for line in lines if line.split("#")[0].strip()]
        if not found or not all(re.fullmatch("[0-9a-f]{64}", digest) for digest in found):
            raise ConfigError(
                f"service.api_keys_file: {file}: expected SHA-256 digests of 64 hexadecimal digits, one a line. "
                "`printf %s KEY | sha256sum` gives one."
            )
    for key in filter(None, map(str.strip, os.environ.get(VARIABLE, "").split(","))):
        if len(key) < SHORTEST:
            raise ConfigError(
                f"{VARIABLE}: a key is shorter than {SHORTEST} characters. Make one: openssl rand -hex 24."
            )
        found.append(digest_of(key))
    return tuple(found)


def digest_of(key: str) -> str:
    return hashlib.sha256(key.encode()).hexdigest()


def key_in(headers: dict[bytes, bytes]) -> str | None:
    """The key in X-API-Key, as bearer token, or as the password of basic authentication, which browsers ask for."""
    if (plain := headers.get(b"x-api-key")) is not None:
        return plain.decode("latin-1")
    scheme, _, value = headers.get(b"authorization", b"").decode("latin-1").partition(" ")
    if scheme.lower() == "bearer":
        return value.strip()
    if scheme.lower() == "basic":
        try:
            return base64.b64decode(value, validate=True).decode().partition(":")[2]
        except (binascii.Error, UnicodeDecodeError):
            return None
    return None


def known(key: str | None, accepted: tuple[str, ...]) -> bool:
    """Whether a key is one of those accepted; takes the same time whichever it is."""
    if key is None:
        return False
    digest = digest_of(key)
    return sum(hmac.compare_digest(digest, one) for one in accepted) > 0  # every one is compared


def is_loopback(host: str) -> bool:
    """Whether only this machine can reach an address."""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"
