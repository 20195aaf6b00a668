"""What every request passes before and after its answer: host, rate limit, key, size of the body, headers, metrics."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import Mapping
from contextlib import suppress

from limits import RateLimitItem, parse_many
from limits.storage import MemoryStorage
from limits.strategies import SlidingWindowCounterRateLimiter
from prometheus_client import CollectorRegistry, Counter, Histogram
from starlette.datastructures import Headers, MutableHeaders
from starlette.responses import Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from stforecast.delivery.api.clients import host_allowed, limited_as
from stforecast.delivery.api.keys import Keys, key_in
from stforecast.delivery.api.questions import MAX_BODY
from stforecast.errors import ConfigError

BODY_SECONDS = 10
OPEN = ("/healthz", "/readyz")
"""Answered without key and limit: they tell nothing of a grid."""
POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; connect-src 'self'; "
    "base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)
HEADERS = {
    "Content-Security-Policy": POLICY,
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Resource-Policy": "same-origin",
}


def limit_of(text: str) -> list[RateLimitItem]:
    """The rate limits that a setting spells.

    Raises:
        ConfigError: it spells none.
    """
    try:
        return parse_many(text)
    except ValueError as error:
        raise ConfigError(f"service.rate_limit: {text!r} is not a rate such as 1200/minute or 20/second.") from error


class Gate:
    """The outermost layer of the service; counts and times what passes by route, not by path: routes are few."""

    def __init__(
        self,
        app: ASGIApp,
        hosts: list[str],
        keys: Keys,
        rate: list[RateLimitItem],
        registry: CollectorRegistry,
        pictures: str = "",
    ) -> None:
        self.app, self.keys, self.rate, self.hosts = app, keys, rate, frozenset(map(str.lower, hosts))
        self.limiter = SlidingWindowCounterRateLimiter(MemoryStorage())
        self.headers = {**HEADERS, "Content-Security-Policy": POLICY.replace(" data:", f" data: {pictures}".rstrip())}
        labels = ["method", "route"]
        self.requests = Counter("stforecast_requests", "Requests answered", [*labels, "status"], registry=registry)
        buckets = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.3, 1, 3)
        self.seconds = Histogram(
            "stforecast_request_seconds", "Seconds to an answer", labels, buckets=buckets, registry=registry
        )

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        began, status, headers = time.perf_counter(), 500, Headers(scope=scope)
        inner = {**scope, "method": "GET"} if scope["method"] == "HEAD" else scope  # the server leaves out the body

        async def sending(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                own = MutableHeaders(scope=message)
                for name, value in self.headers.items():
                    own.setdefault(name, value)
            await send(message)

        try:
            refused = None if scope["path"] in OPEN else self._refused(scope, headers)
            received = receive
            if refused is None and inner["method"] != "GET":
                body = await _body(headers, receive)
                if body is None:
                    refused = problem(413, f"the body is larger than {MAX_BODY} bytes, or did not arrive in time")
                else:
                    received = _replayed(body, receive)
            await (refused or self.app)(inner, received, sending)
        finally:
            route = getattr(inner.get("route"), "path_format", "none")
            method = scope["method"] if scope["method"] in ("GET", "POST", "HEAD", "OPTIONS") else "other"
            self.requests.labels(method, route, str(status)).inc()
            self.seconds.labels(method, route).observe(time.perf_counter() - began)

    def _refused(self, scope: Scope, headers: Headers) -> Response | None:
        client = limited_as(scope["client"][0]) if scope.get("client") else "unknown"
        for item in self.rate:
            if not self.limiter.hit(item, client):
                reset = self.limiter.get_window_stats(item, client).reset_time
                wait = str(max(1, round(reset - time.time())))
                return problem(429, f"more than {item} from this client: wait {wait} s", {"Retry-After": wait})
        if not host_allowed(headers.get("host", ""), self.hosts):
            return problem(421, "Host: the service is not known by this name; service.hosts lists its names")
        if not self.keys.admit(key_in(headers)):
            asked = {"WWW-Authenticate": 'Basic realm="stforecast, the key as password", charset="UTF-8"'}
            return problem(401, "an API key is needed: in X-API-Key, or as bearer token", asked)
        return None


def problem(status: int, message: str, headers: Mapping[str, str] | None = None) -> Response:
    """An error as every client sees it: one line of JSON."""
    return Response(json.dumps({"error": message}), status, headers, "application/json")


async def _body(headers: Headers, receive: Receive) -> bytes | None:
    """The body; None where it is larger than allowed, or does not end."""
    length = headers.get("content-length", "0")
    if not length.isdecimal() or int(length) > MAX_BODY:
        return None
    body = b""
    with suppress(TimeoutError):
        async with asyncio.timeout(BODY_SECONDS):
            while len(body) <= MAX_BODY:
                message = await receive()
                body += message.get("body", b"")
                if not message.get("more_body"):
                    return body if len(body) <= MAX_BODY else None
    return None


def _replayed(body: bytes, receive: Receive) -> Receive:
    """What gives a body that was read, and then what comes after it."""
    messages = iter([{"type": "http.request", "body": body}])

    async def replay() -> Message:
        return next(messages, None) or await receive()

    return replay
