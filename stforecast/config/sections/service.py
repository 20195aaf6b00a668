"""Where grids are kept, how they are served, and what maps and pages show of past reports."""

from __future__ import annotations

from pydantic import Field, IPvAnyNetwork

from stforecast.config.sections.section import Section


class Service(Section):
    """Where grids are kept and how they are served."""

    database: str | None = None
    """SQLAlchemy URL such as postgresql+psycopg://user@host/name (password through PGPASSWORD or .pgpass); default
    SQLite at data/<city>/forecasts.sqlite"""
    keep_days: int = Field(30, ge=1)
    """days for which a refresh keeps grids and their folders; those of the last horizon stay in any case"""
    api_keys_file: str | None = None
    """file of SHA-256 digests of API keys in hexadecimal, one a line; keys themselves may be given in
    STFORECAST_API_KEYS, parted by commas; without keys only this machine is served; the file is read again every
    second, and where it is emptied or removed its keys are refused"""
    rate_limit: str = "500/second"
    """requests a client may make, such as 500/second or 1200/minute"""
    hosts: list[str] = Field([])
    """names by which the service may be asked for (the Host header), beside localhost and plain addresses"""
    proxies: list[IPvAnyNetwork] = Field([])
    """addresses or networks of reverse proxies, such as 127.0.0.1 or 10.0.0.0/8; only their X-Forwarded-For counts"""


class Rate(Section):
    """Reports per so many of those who are there, beside expected reports."""

    of: str
    """name of an entry of `covariates`: a number by cell, such as residents, or a series of how many are there, whose
    hours then count; what is sensitive, a mean and a calendar are refused"""
    per: int = Field(1000, ge=1)
    """how many of them, or of their hours, a rate is per"""
    smallest: float = Field(100, gt=0)
    """no rate of fewer than these; of a series, of fewer on average over the interval"""


class Delivery(Section):
    """What maps and pages show of past reports, and rates."""

    smallest_count: int = Field(5, ge=1)
    """smallest past count of a hexagon that is shown, over a day or a forecast's horizon; below it none and a few look
    alike. Counts of sexual offences are never shown"""
    rate: Rate | None = None
    """reports per 1,000 residents, or per hours of exposure, in map, files, report and service"""
