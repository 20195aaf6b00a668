"""A briefing of the grid that is served, as PDF. One is drawn at a time, and kept while the same is served."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from typing import Annotated

from fastapi import APIRouter, HTTPException, Query, Request, Response
from pydantic import BaseModel, ConfigDict, Field

from stforecast.config import Config
from stforecast.delivery.api.keeper import LOG
from stforecast.delivery.api.questions import Name
from stforecast.delivery.api.routes import PROBLEMS, Kept, Now
from stforecast.delivery.api.served import Served
from stforecast.delivery.brief import brief_of
from stforecast.delivery.layers import read_layers
from stforecast.errors import ConfigError

PDF = "application/pdf"
router = APIRouter(prefix="/v1", responses=PROBLEMS)


class BriefQuestion(BaseModel):
    """All hours of the city, or those of a shift, or one of its districts."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    shift: Name | None = Field(None, description="only the next shift of that name (`map.shifts`)")
    district: Name | None = Field(None, description="only this district of the grid")


class Briefs:
    """The briefings of a configuration that were asked for since the grid, or what is said of it, changed."""

    def __init__(self, config: Config) -> None:
        self.config, self.lock = config, asyncio.Lock()
        self.about: tuple[str, str | None] | None = None
        self.kept: dict[BriefQuestion, bytes] = {}

    async def of(self, now: Now, question: BriefQuestion) -> bytes:
        """A briefing as PDF.

        Raises:
            ConfigError: the grid has no such shift or district.
        """
        async with self.lock:
            if (about := (now.served.tag, now.stale_reason)) != self.about:
                self.about, self.kept = about, {}
            if question not in self.kept:
                self.kept[question] = await asyncio.to_thread(self._drawn, now.served, now.stale_reason, question)
            return self.kept[question]

    def _drawn(self, served: Served, stale_reason: str | None, question: BriefQuestion) -> bytes:
        from stforecast.delivery.brief_pdf import pdf_of

        comparison = served.stored.facts.get("comparison")
        made = brief_of(served.grid, served.stored.city, question.shift, question.district, served.shifts, comparison)
        if stale_reason is not None:
            said = f"This forecast is out of date: {stale_reason}"
            made = replace(made, warning=" ".join(filter(None, (made.warning, said))))
        return pdf_of(made, read_layers(self.config, served.places.geometry, LOG.warning))


@router.get("/brief.pdf", response_class=Response, responses={200: {"content": {PDF: {}}}})
async def brief(request: Request, now: Kept, question: Annotated[BriefQuestion, Query()]) -> Response:
    """One A4 page to hand out: a map, the places with most reports expected, sums and what is unusual."""
    try:
        page = await request.app.state.briefs.of(now, question)
    except ConfigError as error:
        raise HTTPException(404, str(error)) from error
    return now.answer(request, lambda: page, PDF)
