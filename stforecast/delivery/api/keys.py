"""API keys. Only their SHA-256 digests are held; keys are long and random, so that a plain digest suffices."""

from __future__ import annotations

import asyncio
import base64
import binascii
import hashlib
import hmac
import logging
import os
import re
from collections.abc import Mapping
from pathlib import Path

from stforecast.errors import ConfigError

VARIABLE = "STFORECAST_API_KEYS"
SHORTEST = 16
SECONDS = 1.0
"""Between two looks at the file."""
LOG = logging.getLogger("stforecast.service")


class Keys:
    """The keys that are accepted: those of a file as it is now, and those of STFORECAST_API_KEYS."""

    def __init__(self, file: str | None) -> None:
        """Read the keys.

        Args:
            file: `service.api_keys_file`.

        Raises:
            ConfigError: the file cannot be read or holds something else, or a key is short.
        """
        self.file, self.of_environment = file, _of_environment()
        self.of_file = () if file is None else _of_file(file)
        self.needed = bool(self.of_environment or self.of_file)

    def look(self) -> None:
        """Read the file again; where it holds no keys any more, those that it held are refused."""
        before = self.of_file
        try:
            self.of_file = () if self.file is None else _of_file(self.file)
        except ConfigError as error:
            self.of_file = ()
            if before:
                LOG.error("its keys are refused from now on: %s", error)

    async def watch(self) -> None:
        """Look again and again, until cancelled."""
        while True:
            await asyncio.sleep(SECONDS)
            await asyncio.to_thread(self.look)

    def admit(self, key: str | None) -> bool:
        """Whether a key opens the service; takes the same time whichever it is."""
        if not self.needed or key is None:
            return not self.needed
        digest = digest_of(key)
        compared = [hmac.compare_digest(digest, one) for one in (*self.of_environment, *self.of_file)]
        return any(compared)


def _of_file(file: str) -> tuple[str, ...]:
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
    return tuple(found)


def _of_environment() -> tuple[str, ...]:
    keys = [*filter(None, map(str.strip, os.environ.get(VARIABLE, "").split(",")))]
    if any(len(key) < SHORTEST for key in keys):
        raise ConfigError(f"{VARIABLE}: a key is shorter than {SHORTEST} characters. Make one: openssl rand -hex 24.")
    return tuple(map(digest_of, keys))


def digest_of(key: str) -> str:
    return hashlib.sha256(key.encode()).hexdigest()


def key_in(headers: Mapping[str, str]) -> str | None:
    """The key in X-API-Key, as bearer token, or as the password of basic authentication, which browsers ask for."""
    if (plain := headers.get("x-api-key")) is not None:
        return plain
    scheme, _, value = headers.get("authorization", "").partition(" ")
    if scheme.lower() == "bearer":
        return value.strip()
    if scheme.lower() == "basic":
        try:
            return base64.b64decode(value, validate=True).decode().partition(":")[2]
        except (binascii.Error, UnicodeDecodeError):
            return None
    return None
