"""The service as an application: what it answers. `server` runs it as a process."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from functools import cache

from fastapi import FastAPI, HTTPException, Request, Response
from fastapi.exceptions import RequestValidationError
from prometheus_client import CONTENT_TYPE_LATEST, CollectorRegistry, Gauge, generate_latest
from starlette.exceptions import HTTPException as AnyHTTPException
from starlette.middleware.gzip import GZipMiddleware
from uvicorn.middleware.proxy_headers import ProxyHeadersMiddleware

from stforecast import __version__
from stforecast.config import Config
from stforecast.config.sections.map import host_of
from stforecast.delivery.api import briefs
from stforecast.delivery.api.docs import docs_pages
from stforecast.delivery.api.gate import HEADERS, Gate, limit_of, problem
from stforecast.delivery.api.keeper import Keeper
from stforecast.delivery.api.keys import Keys
from stforecast.delivery.api.routes import router
from stforecast.delivery.api.surroundings import Surroundings

AT_ONCE = 1
"""Plans that are made at a time; others wait."""
KINDS = {"html": "text/html", "css": "text/css", "js": "text/javascript"}


def create_app(config: Config, keeper: Keeper) -> FastAPI:
    """The application of a city.

    Args:
        config: of the city, with its API keys and rate limit.
        keeper: holds the grid that is served.

    Raises:
        ConfigError: keys or rate limit cannot be used.
    """
    keys, rate = Keys(config.service.api_keys_file), limit_of(config.service.rate_limit)
    registry, tiles = CollectorRegistry(), config.map.tiles
    pictures = "" if tiles is None else host_of(tiles.url)

    @asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[None]:
        watching = [asyncio.create_task(one.watch()) for one in (keeper, keys)]
        yield
        for one in watching:
            one.cancel()
        await asyncio.gather(*watching, return_exceptions=True)
        keeper.close()

    app = FastAPI(
        title=f"stforecast: {config.city}",
        description="Reported offences expected in every hexagon of the city in the next hours, days or months.",
        version=__version__,
        lifespan=lifespan,
        docs_url=None,
        redoc_url=None,
        redirect_slashes=False,  # a redirect would repeat the Host header
    )
    app.state.keeper, app.state.surroundings = keeper, Surroundings(config)
    app.state.briefs = briefs.Briefs(config)
    app.state.planning = asyncio.Semaphore(AT_ONCE)
    app.add_middleware(GZipMiddleware, minimum_size=1024, compresslevel=5)
    app.add_middleware(Gate, hosts=config.service.hosts, keys=keys, rate=rate, registry=registry, pictures=pictures)
    app.add_middleware(ProxyHeadersMiddleware, trusted_hosts=[*map(str, config.service.proxies)])
    app.include_router(router)
    app.include_router(briefs.router)
    _add_errors(app)
    _add_operations(app, keeper, registry)
    _add_pages(app)
    return app


def _add_errors(app: FastAPI) -> None:
    """Every error is one line; what went wrong inside goes to the log alone."""

    @app.exception_handler(RequestValidationError)
    async def invalid(_: Request, error: RequestValidationError) -> Response:
        problems = [
            f"{'.'.join(map(str, one['loc'][1:])) or one['loc'][0]}: {one['msg'].removeprefix('Value error, ')}"
            for one in error.errors()
        ]
        return problem(422, "; ".join(problems[:10]))

    @app.exception_handler(AnyHTTPException)
    async def refused(_: Request, error: HTTPException) -> Response:
        return problem(error.status_code, str(error.detail), error.headers)

    @app.exception_handler(Exception)
    async def failed(_: Request, __: Exception) -> Response:
        return problem(500, "internal error; it is in the log of the service", HEADERS)


def _add_operations(app: FastAPI, keeper: Keeper, registry: CollectorRegistry) -> None:
    """Health, readiness and metrics."""
    age = Gauge("stforecast_grid_age_seconds", "Since the issue time of the grid that is served", registry=registry)
    stale = Gauge("stforecast_grid_stale", "1 where the grid cannot be relied on any more", registry=registry)
    nan = float("nan")
    age.set_function(lambda: (keeper.clock() - keeper.served.grid.issue_time).total_seconds() if keeper.served else nan)
    stale.set_function(lambda: float(keeper.stale_reason() is not None))

    @app.get("/healthz", include_in_schema=False)
    async def healthz() -> Response:
        return Response("ok\n", media_type="text/plain")

    @app.get("/readyz", include_in_schema=False)
    async def readyz() -> Response:
        ready = keeper.served is not None
        return Response("ready\n" if ready else "no grid yet\n", 200 if ready else 503, media_type="text/plain")

    @app.get("/metrics", include_in_schema=False)
    async def metrics() -> Response:
        return Response(generate_latest(registry), media_type=CONTENT_TYPE_LATEST)


def _add_pages(app: FastAPI) -> None:
    """The map at / with its parts beside it, and the docs."""

    @cache
    def parts() -> dict[str, bytes]:
        from stforecast.delivery.webmap import page

        return page() | docs_pages(app.openapi())

    @app.get("/", include_in_schema=False)
    @app.get("/{name}", include_in_schema=False)
    async def part(name: str = "page.html") -> Response:
        if name not in parts():
            raise HTTPException(404, "there is no such page")
        kind = KINDS.get(name.rpartition(".")[2], "text/html")
        return Response(parts()[name], media_type=kind, headers={"Cache-Control": "no-cache"})
