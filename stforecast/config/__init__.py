"""The configuration of a city: frozen models, read from YAML plus dotted overrides."""

from stforecast.config.city import Config
from stforecast.config.loading import PACKAGED, dump, fields, load, parse

__all__ = ["PACKAGED", "Config", "dump", "fields", "load", "parse"]
