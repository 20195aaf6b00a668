"""Forecasters by name: the package's own, those of installed packages, and `module:Class` of anyone's.

Modules, and what they need, are imported when a forecaster is asked for.
"""

from __future__ import annotations

import importlib
import sys
from collections.abc import Mapping
from functools import cache
from importlib.metadata import entry_points
from inspect import signature
from pathlib import Path
from typing import Any

from stforecast.config import Config
from stforecast.errors import ConfigError
from stforecast.forecasters.base import Forecaster
from stforecast.imports import importing

GROUP = "stforecast.forecasters"
"""Entry points of other packages: name = "module:Class"."""
BUILT_IN = {
    "gcrn": "stforecast.forecasters.gcrn.forecaster:GCRN",
    "rolling_climatology": "stforecast.forecasters.climatology:RollingClimatology",
    "climatology": "stforecast.forecasters.climatology:FixedClimatology",
    "hexagon_mean": "stforecast.forecasters.controls:HexagonMean",
    "last_week": "stforecast.forecasters.controls:LastWeek",
    "mean_of_last_12": "stforecast.forecasters.baselines:MeanOfLast12",
    "last_year": "stforecast.forecasters.baselines:LastYear",
    "seasonal_naive": "stforecast.forecasters.baselines:SeasonalNaive",
    "ewma": "stforecast.forecasters.baselines:EWMA",
    "kernel": "stforecast.forecasters.kernel:Kernel",
    "hawkes": "stforecast.forecasters.hawkes:Hawkes",
    "ensemble": "stforecast.forecasters.ensemble:Ensemble",
    "hist_gradient_boosting": "stforecast.forecasters.trees.zoo:HistGradientBoosting",
    "xgboost": "stforecast.forecasters.trees.zoo:XGBoost",
    "lightgbm": "stforecast.forecasters.trees.zoo:LightGBM",
    "catboost": "stforecast.forecasters.trees.zoo:CatBoost",
    "random_forest": "stforecast.forecasters.trees.zoo:RandomForest",
    "extra_trees": "stforecast.forecasters.trees.zoo:ExtraTrees",
    "balanced_random_forest": "stforecast.forecasters.trees.zoo:BalancedRandomForest",
}


@cache
def forecaster_class(name: str) -> type[Forecaster]:
    """The class behind a forecaster's name.

    Args:
        name: one of the built-in names, of an entry point, or `module:Class`.

    Raises:
        ConfigError: there is none, or it is not a forecaster.
    """
    where = BUILT_IN.get(name) or (name if ":" in name else _installed().get(name))
    if where is None:
        known = ", ".join([*BUILT_IN, *_installed()])
        raise ConfigError(
            f"evaluation.forecasters: {name!r} is not one of {known}. One of your own is given as module:Class."
        )
    module, _, attribute = where.partition(":")
    if (here := str(Path.cwd())) not in sys.path and ":" in name:
        sys.path.append(here)  # a module beside the configuration's user, as `python -m` finds it
    try:
        with importing():
            found = getattr(importlib.import_module(module), attribute)
    except (ModuleNotFoundError, AttributeError) as error:
        if name in BUILT_IN or (isinstance(error, ModuleNotFoundError) and error.name != module.partition(".")[0]):
            raise
        raise ConfigError(
            f"evaluation.forecasters: {name!r}: {error}. Run from the folder of the module, or install it."
        ) from error
    if not (isinstance(found, type) and issubclass(found, Forecaster)):
        raise ConfigError(f"evaluation.forecasters: {name!r} is no subclass of stforecast.Forecaster.")
    return found


def _installed() -> dict[str, str]:
    return {point.name: point.value for point in entry_points(group=GROUP)}


def names_of(config: Config) -> dict[str, type[Forecaster]]:
    """The forecasters of `evaluation.forecasters` by their own name, in that order.

    Raises:
        ConfigError: one is unknown, or two have the same name.
    """
    out: dict[str, type[Forecaster]] = {}
    for given in config.evaluation.forecasters:
        kind = forecaster_class(given)
        if out.get(kind.name, kind) is not kind:
            raise ConfigError(f"evaluation.forecasters: two are called {kind.name!r}. Give one another `name`.")
        out[kind.name] = kind
    return out


def in_order(config: Config) -> list[str]:
    """The names of `evaluation.forecasters` in the order in which they can be fitted.

    Raises:
        ConfigError: a name is wrong, or one reads a forecaster that is not among them.
    """
    kinds = names_of(config)
    needs = {name: kind.needs(config) for name, kind in kinds.items()}
    for name, parts in needs.items():
        if missing := sorted({*parts} - {*kinds}):
            raise ConfigError(
                f"evaluation.forecasters: {name} reads {', '.join(missing)}, which must be among them. Add what is "
                f"missing, or leave {name} out."
            )
    return sorted(kinds, key=lambda name: bool(needs[name]))


def create_forecaster(
    name: str, config: Config, parts: Mapping[str, Forecaster] | None = None, **more: Any
) -> Forecaster:
    """A forecaster to be fitted.

    Args:
        name: its own name.
        config: of the city.
        parts: the fitted forecasters that it reads, by name.
        more: what else its constructor asks for, by name; what it does not ask for is left out.
    """
    kind = kind_of(name, config)
    asked = signature(kind.__init__).parameters
    return kind(config, parts, **{key: value for key, value in more.items() if key in asked})


def kind_of(name: str, config: Config) -> type[Forecaster]:
    """The class of a forecaster by its own name, which may stand in a file of a run.

    Only modules of the package and those that the configuration names are imported, whatever the name.

    Raises:
        ConfigError: it is neither the package's own nor one of the configuration's.
    """
    if name in BUILT_IN:
        return forecaster_class(name)
    if (kind := names_of(config).get(name)) is None:
        raise ConfigError(
            f"evaluation.forecasters: {name!r} is none of the package's forecasters, nor among them. Add it there if "
            "it is yours."
        )
    return kind
