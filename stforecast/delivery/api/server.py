"""The service as a process: where it listens, how long and how many connections may wait, what goes to the log."""

from __future__ import annotations

import asyncio
import logging
import socket
from functools import partial
from typing import Any

import uvicorn
from uvicorn.protocols.http.h11_impl import H11Protocol

from stforecast.config import Config
from stforecast.delivery.api.app import create_app
from stforecast.delivery.api.clients import is_loopback
from stforecast.delivery.api.keeper import Keeper
from stforecast.delivery.api.keys import VARIABLE, Keys
from stforecast.delivery.store import Store
from stforecast.errors import ConfigError

MOST, MOST_SLOW = 700, 64
"""Open connections, and those whose client does not take its answer, which may be some megabytes."""
AT_ONCE, QUEUE = 50, 2048
"""Connections that are taken at a time, and that may wait to be taken: with those that are about to be closed, the
process stays below the usual limit of 1,024 open files."""
PATIENCE = 30.0
"""Seconds from the start, or from one answer to the next: to ask, to be answered, and to take the answer."""
IDLE = 5
"""Seconds that a connection stays open after an answer without another question."""
LARGEST_HEAD = 8192
"""Bytes of a request's line and headers."""
STOP = 5
"""Seconds that a stop waits for requests at work; container engines wait 10."""


def serve(config: Config, database: str, host: str, port: int) -> None:
    """Answer from the store at the URL `database` until stopped.

    Raises:
        ConfigError: the address is taken, or can be reached from elsewhere while there are no keys.
    """
    if not is_loopback(host) and not Keys(config.service.api_keys_file).needed:
        raise ConfigError(
            f"--host {host}: others than this machine are served only with API keys. "
            f"Set service.api_keys_file or {VARIABLE}, or leave --host at 127.0.0.1."
        )
    logging.basicConfig(level="INFO", format="%(asctime)s %(levelname)s %(name)s: %(message)s")
    logging.getLogger("fontTools").setLevel("WARNING")  # which tells of every table of a font, for each briefing
    app = create_app(config, Keeper(Store(database, config.city), shifts=config.map.shifts, allocation=config.plan))
    try:
        family = socket.AF_INET6 if ":" in host else socket.AF_INET
        listening = socket.create_server((host, port), family=family)
        # answers leave at once; asyncio sets this by itself only for sockets that it made, and it costs 40 ms a request
        listening.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    except OSError as error:
        raise ConfigError(f"{host}:{port}: cannot be listened on ({error.strerror}). Choose another --port.") from error
    with listening:
        address = f"http://{f'[{host}]' if ':' in host else host}:{listening.getsockname()[1]}"
        print(f"serve: {address}/ shows the map; {address}/docs lists what programs can ask", flush=True)
        server_of(app).run(sockets=[listening])


def server_of(app: Any) -> uvicorn.Server:
    """The server of an application, with every limit of a connection."""
    return Server(
        uvicorn.Config(
            app,
            http=partial(Connection, Waiting(MOST), Waiting(MOST_SLOW)),  # type: ignore[arg-type]  # called as a class
            ws="none",
            access_log=False,
            log_config=None,
            log_level="error",  # a warning for every malformed request would fill the disk
            server_header=False,
            proxy_headers=False,  # the application reads them
            backlog=AT_ONCE,
            timeout_keep_alive=IDLE,
            timeout_graceful_shutdown=STOP,
            h11_max_incomplete_event_size=LARGEST_HEAD,
        )
    )


class Server(uvicorn.Server):
    """A server whose queue is longer than what it takes of it at a time."""

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        for one in sockets or []:
            one.listen(QUEUE)


class Waiting(dict["Connection", None]):
    """So many connections at most, in the order in which they were last answered.

    The first is cut off for a new one, so that a new client is heard whoever holds the others.
    """

    def __init__(self, most: int) -> None:
        super().__init__()
        self.most = most

    def put_last(self, connection: Connection) -> None:
        self.pop(connection, None)
        self[connection] = None
        if len(self) > self.most:
            first = next(iter(self))
            del self[first]
            first.transport.abort()


class Connection(H11Protocol):
    """A connection that must ask, and take its answer, within PATIENCE."""

    deadline: asyncio.TimerHandle | None = None

    def __init__(self, every: Waiting, slow: Waiting, **given: Any) -> None:
        super().__init__(**given)
        self.every, self.slow = every, slow

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]  # as uvicorn has it
        super().connection_made(transport)
        self._wait()

    def connection_lost(self, exc: Exception | None) -> None:
        if self.deadline:
            self.deadline.cancel()
        for group in (self.every, self.slow):
            group.pop(self, None)
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        for start in range(0, len(data), LARGEST_HEAD):  # h11 lets a head of any size pass that comes in one piece
            if not self.transport.is_closing():
                super().data_received(data[start : start + LARGEST_HEAD])

    def pause_writing(self) -> None:
        super().pause_writing()
        self.slow.put_last(self)

    def resume_writing(self) -> None:
        super().resume_writing()
        self.slow.pop(self, None)

    def on_response_complete(self) -> None:
        self._wait()
        super().on_response_complete()

    def _wait(self) -> None:
        if self.deadline:
            self.deadline.cancel()
        if not self.transport.is_closing():
            self.deadline = self.loop.call_later(PATIENCE, self.transport.abort)
            self.every.put_last(self)
