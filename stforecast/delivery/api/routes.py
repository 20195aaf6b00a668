"""The questions of the service and how each is answered, all from memory."""

from __future__ import annotations

import asyncio
import zlib
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Annotated, Any

import numpy as np
from fastapi import APIRouter, Depends, HTTPException, Path, Query, Request, Response

from stforecast.delivery import sums
from stforecast.delivery import why as reasons
from stforecast.delivery.api import answers, shapes
from stforecast.delivery.api.answers import to_json
from stforecast.delivery.api.chosen import chosen
from stforecast.delivery.api.keeper import LOG
from stforecast.delivery.api.questions import (
    MAX_ROWS,
    AreaQuestion,
    PlanQuestion,
    Question,
    RiskQuestion,
    SumQuestion,
    TopQuestion,
    UsualQuestion,
    ViewQuestion,
    WhyQuestion,
    corners,
)
from stforecast.delivery.api.served import Served
from stforecast.delivery.riskgrid import iso
from stforecast.delivery.store import State
from stforecast.errors import ArtefactError, ConfigError

BASIS = "What is usual at such a time, with as many reports as the city had lately; no forecast of a date."
ASKED_BY = {"hour": ("hour", "weekday", "month"), "day": ("weekday", "month"), "month": ("month",)}
"""What a question about the usual says, by the step of the grid."""
MEDIA = {"geojson": "application/geo+json", "csv": "text/csv; charset=utf-8", "json": "application/json"}
MEANING = {
    400: "The body is not JSON.",
    401: "An API key is needed.",
    404: "The grid has no such time, category, hexagon, place or area, or no comparison; the store has no such grid.",
    413: "The body is too large.",
    421: "The Host header names another service.",
    422: "A parameter is unknown, or its value is not allowed.",
    429: "Too many requests.",
    503: "There is no grid yet.",
}
PROBLEMS: dict[int | str, dict[str, Any]] = {
    code: {"model": shapes.Problem, "description": text} for code, text in MEANING.items()
}
router = APIRouter(prefix="/v1", responses=PROBLEMS)


@dataclass(frozen=True)
class Now:
    """The grid as one request sees it."""

    served: Served
    stale_reason: str | None
    state: State

    @property
    def facts(self) -> dict[str, Any]:
        """What stands in every answer: which grid it is from, and whether it can be relied on."""
        return {**self.served.facts, "stale": self.stale_reason is not None, "stale_reason": self.stale_reason}

    def answer(self, request: Request, make: Callable[[], bytes], media: str = "application/json") -> Response:
        """What `make` gives, or 304 where the client has it already."""
        tag = f'W/"{self.served.tag}-{zlib.crc32(repr((self.stale_reason, self.state)).encode()):x}"'
        headers = {"ETag": tag, "Cache-Control": "no-cache"}
        has = {text.strip() for text in request.headers.get("if-none-match", "").split(",")}
        if has & {tag, tag.removeprefix("W/"), "*"}:
            return Response(status_code=304, headers=headers)
        return Response(make(), media_type=media, headers=headers)


async def now_of(request: Request) -> Now:
    keeper = request.app.state.keeper
    if keeper.served is None:
        raise HTTPException(503, "there is no grid yet: run `stforecast refresh`")
    return Now(keeper.served, keeper.stale_reason(), keeper.state)


Kept = Annotated[Now, Depends(now_of)]


@router.get("/grids/latest", response_model=shapes.Latest)
async def grids_latest(request: Request, now: Kept) -> Response:
    """Which grid is served, and whether it can be relied on."""
    return now.answer(request, lambda: to_json(now.facts | answers.latest(now.served)))


@router.get("/grids", response_model=shapes.Grids)
async def grids(request: Request, now: Kept) -> Response:
    """The grids that the store holds, the newest first."""
    found = await _from_store(request.app.state.keeper.store.listed)
    rows = [
        {"grid_id": row["id"], "model": row["model"], **{key: iso(row[key]) for key in ("issue_time", "created")}}
        for row in found
    ]
    return Response(to_json({"grid": now.facts, "grids": rows}), media_type="application/json")


@router.get("/view", response_model=dict[str, Any])
async def view(request: Request, now: Kept, question: Annotated[ViewQuestion, Query()]) -> Response:
    """The whole grid as the map shows it."""
    served = now.served
    if question.grid is not None:
        served = await _from_store(request.app.state.keeper.open, question.grid)
        if served is None:
            raise HTTPException(404, "grid: the store holds none of that number")
    body = await asyncio.to_thread(lambda: served.view)  # made once a grid
    return replace(now, served=served).answer(request, lambda: body)


@router.get("/compare", response_model=shapes.Comparison)
async def compare(request: Request, now: Kept) -> Response:
    """The last weeks and the year to date against the year before, and an earlier forecast against what came."""
    if (found := now.served.stored.facts.get("comparison")) is None:
        raise HTTPException(404, "this grid came without a comparison: run `stforecast refresh`")
    return now.answer(request, lambda: to_json({"grid": now.facts, **found}))


@router.get("/around", response_model=dict[str, Any])
async def around(request: Request, now: Kept) -> Response:
    """What the map shows around the cells: streets, water, borders and names, packed, and perhaps online tiles."""
    body = await asyncio.to_thread(request.app.state.surroundings.of, now.served.places)
    return now.answer(request, lambda: body)


@router.get("/risk", response_model=shapes.Risk, responses={200: {"content": {kind: {} for kind in MEDIA.values()}}})
async def risk(request: Request, now: Kept, question: Annotated[RiskQuestion, Query()]) -> Response:
    """Intensity and risk of many hexagons in a step, a shift or the whole horizon, by rank: JSON, GeoJSON or CSV."""
    served, interval, category, about = _asked(now, question)
    rows = served.grid.order[interval, category]
    if question.bbox is not None:
        rows = rows[served.places.inside(*corners(question.bbox))[rows]]
    if question.place is not None:
        rows = rows[served.places.named(question.place)[rows]]
    rows = rows[: question.top_k]
    if len(rows) > MAX_ROWS:
        raise HTTPException(
            422, f"{len(rows)} {served.places.geometry.word}s are more than {MAX_ROWS}: give bbox or top_k"
        )

    def make() -> bytes:
        if question.format == "geojson":
            return answers.risk_geojson(served, about, interval, category, rows)
        table = answers.risk_rows(served, interval, category, rows)
        return answers.risk_csv(about, table) if question.format == "csv" else to_json({**about, "rows": table})

    return now.answer(request, make, MEDIA[question.format])


@router.get("/top", response_model=shapes.Risk)
async def top(request: Request, now: Kept, question: Annotated[TopQuestion, Query()]) -> Response:
    """The hexagons of the highest risk in a step, a shift or the whole horizon."""
    return await risk(request, now, RiskQuestion(top_k=question.k, **question.model_dump(exclude={"k"})))


@router.get("/why", response_model=shapes.Why)
async def why(request: Request, now: Kept, question: Annotated[WhyQuestion, Query()]) -> Response:
    """What makes the number of a hexagon: the usual there, and what each group of inputs multiplies it by.

    Only of the hexagons that the grid flags, the top share of some category and hours. `stforecast why` answers of any.
    """
    served, cell, category = now.served, question.cell, question.category
    _asked(now, Question(shift=question.shift, category=category))
    if (row := served.places.row.get(cell)) is None:
        raise HTTPException(404, f"cell: no {served.places.geometry.word} of this grid")
    kept = served.stored.facts.get("why")
    if kept is None or not kept["groups"]:
        raise HTTPException(404, "this grid came without parts: its model cannot be taken apart, or is of before")
    found = reasons.answer(served.grid, kept, cell, category, question.shift or reasons.WHOLE)
    if found is None:
        raise HTTPException(404, "cell, shift: only the places that the grid flags are kept; ask `stforecast why`")
    about = {"hexagon": cell, "place": served.places.called[row], "category": category}
    return now.answer(
        request, lambda: to_json({"grid": now.facts, **about, "offences": kept["contents"].get(category, []), **found})
    )


@router.get("/areas", response_model=shapes.Areas)
async def areas(request: Request, now: Kept, question: Annotated[Question, Query()]) -> Response:
    """What is expected of the city and of each district in a step, a shift or the whole horizon, with its range."""
    _, interval, category, about = _asked(now, question)
    steps = now.served.steps(question.shift, interval)
    return now.answer(request, lambda: to_json({**about, "rows": sums.areas(now.served.grid, steps, category)}))


@router.get("/sum", response_model=shapes.Sum)
async def sum_of(request: Request, now: Kept, question: Annotated[SumQuestion, Query()]) -> Response:
    """What is expected of some hexagons together in a step, a shift or the whole horizon, with its range."""
    body = await asyncio.to_thread(_summed, now, question)
    return now.answer(request, lambda: body)


@router.post("/sum", response_model=shapes.Sum)
async def sum_in(request: Request, now: Kept, question: AreaQuestion) -> Response:
    """The same of an area: of the hexagons whose centre lies in it."""
    return Response(await asyncio.to_thread(_summed, now, question), media_type="application/json")


@router.get("/plan", response_model=shapes.Plan)
async def plan(request: Request, now: Kept, question: Annotated[PlanQuestion, Query()]) -> Response:
    """Places for prevention, services and presence: those that cover most expected reports within a budget."""
    served = now.served
    if question.shift is not None and question.shift not in served.shifts_held:
        names = ", ".join(served.shifts_held)
        raise HTTPException(404, f"shift: not one of {names}" if names else "shift: this grid has none")
    asked = question.allocation(served.allocation, served.places.row)
    try:
        async with request.app.state.planning:
            found = await asyncio.to_thread(answers.plan, served, asked, question.shift)
    except ConfigError as error:
        raise HTTPException(422, str(error).removeprefix("plan.")) from error
    return now.answer(request, lambda: to_json({"grid": now.facts, **found}))


@router.get("/hexagons/{cell:path}", response_model=shapes.Hexagon)
async def hexagon(request: Request, now: Kept, cell: Annotated[str, Path(max_length=200)]) -> Response:
    """Everything the grid says of one hexagon: the whole horizon and each step, by category."""
    row = now.served.places.row.get(cell)
    if row is None:
        word, names = now.served.places.geometry.word, now.served.places.names
        raise HTTPException(404, f"cell: no {word} of this grid; names are such as {names[0]}")
    return now.answer(request, lambda: to_json({"grid": now.facts, **answers.hexagon(now.served, row)}))


@router.get("/models/current", response_model=shapes.Model)
async def models_current(request: Request, now: Kept) -> Response:
    """What made the grid: the run, its slices, its calibration and how it scored."""
    return now.answer(request, lambda: to_json({"grid": now.facts, **now.served.stored.facts["run"]}))


@router.get("/data-status", response_model=shapes.DataStatus)
async def data_status(request: Request, now: Kept) -> Response:
    """How far the record reaches, what it holds, how late reports come, and how the last refresh went."""

    def make() -> bytes:
        times = {"last_attempt": now.state.attempted, "last_success": now.state.succeeded}
        attempts = {name: time and iso(time) for name, time in times.items()}
        return to_json({"grid": now.facts, "record": now.served.stored.facts["record"], **attempts})

    return now.answer(request, make)


@router.post("/predict", response_model=shapes.Prediction)
async def predict(now: Kept, question: UsualQuestion) -> Response:
    """What is usual at a point or in a district, whatever the date.

    Asked by hour, weekday and month where the grid's steps are hours, by weekday and month where they are days, by
    month where they are months. Expected reports of such a step and their calibrated risk, by category: the average of
    the past (rolling climatology) with as many reports as the city had lately; of hours and days times the month's
    factor on the whole city. A district is taken as a whole: the risk of at least one report in it.
    """
    unit, asked = now.served.grid.step_unit, question.model_dump(include={*ASKED_BY["hour"]}, exclude_none=True)
    if {*asked} != {*ASKED_BY[unit]}:
        raise HTTPException(422, f"this grid is of {unit}s: ask by {', '.join(ASKED_BY[unit])}, and by nothing finer")
    served, place = now.served, question.model_dump(include={"latitude", "longitude", "district"}, exclude_none=True)
    if question.district is not None:
        districts = served.grid.districts
        rows = np.flatnonzero(districts == question.district) if districts is not None else np.array([], np.int64)
        if not len(rows):
            raise HTTPException(404, "district: the grid holds none of that name")
    else:
        cells = served.places.geometry
        rows = cells.rows(np.array([question.latitude], float), np.array([question.longitude], float))
        if rows[0] < 0:
            raise HTTPException(404, f"latitude, longitude: in no {cells.word} of this grid")
        place["hexagon"] = served.places.names[rows[0]]
    if served.stored.usual is None:
        raise HTTPException(503, "this grid came without what is usual: run `stforecast refresh`")
    found = answers.usual(served, rows, **asked)
    body = {"grid": now.facts, "basis": BASIS, "place": {**place, "hexagons": len(rows)}, **asked, "categories": found}
    return Response(to_json(body), media_type="application/json")


def _summed(now: Now, question: SumQuestion) -> bytes:
    served, (_, interval, category, about) = now.served, _asked(now, question)
    hexagons, steps = chosen(served, question), served.steps(question.shift, interval)
    return to_json({**about, **sums.selected(served.grid, hexagons, steps, category)})


async def _from_store(ask: Callable[..., Any], *arguments: Any) -> Any:
    """What the store says, asked in a thread."""
    try:
        return await asyncio.to_thread(ask, *arguments)
    except ArtefactError as error:
        LOG.error("%s", error)
        raise HTTPException(503, "the store cannot be read; its log says why") from error


def _asked(now: Now, question: Question) -> tuple[Served, int, int, dict[str, Any]]:
    """What is asked for, interval and category in it, and what the answer says of them."""
    served = now.served
    if question.shift is None:
        interval = served.interval(question.time)
    elif question.shift in served.by_shift:
        served, interval = served.by_shift[question.shift], 0
    else:
        names = ", ".join(served.by_shift)
        raise HTTPException(404, f"shift: not one of {names}" if names else "shift: this grid has none")
    if interval is None:
        raise HTTPException(404, f"time: not within {iso(served.grid.issue_time)} to {iso(served.until)}")
    if question.category not in served.grid.categories:
        raise HTTPException(404, f"category: not one of {', '.join(served.grid.categories)}")
    about = {"grid": now.facts, **served.spans[interval], "category": question.category}
    return served, interval, served.grid.categories.index(question.category), about
