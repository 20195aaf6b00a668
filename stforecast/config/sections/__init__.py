"""The sections of a configuration: one subject a file, every field described."""

from stforecast.config.presets import PRESETS
from stforecast.config.sections.allocation import Allocation
from stforecast.config.sections.covariates import AreaSeries, Calendar, CellValues, Covariates, check_denominator
from stforecast.config.sections.evaluation import Analysis, Backtest, Evaluation
from stforecast.config.sections.grid import Grid, Weather
from stforecast.config.sections.ingest import Ingest
from stforecast.config.sections.layers import Kind, Layer, Layers
from stforecast.config.sections.map import SHIFTS, Hours, Map, Tiles
from stforecast.config.sections.section import Section
from stforecast.config.sections.service import Delivery, Rate, Service
from stforecast.config.sections.source import (
    KINDS,
    Columns,
    DateOrder,
    DateParts,
    Flags,
    Gap,
    OffenceKind,
    Periods,
    Source,
)
from stforecast.config.sections.synthetic import Synthetic, SyntheticCategory, SyntheticType
from stforecast.config.sections.tables import Table
from stforecast.config.sections.time import HORIZONS, Time, Unit
from stforecast.config.sections.training import Model, Split, Training, Trees
