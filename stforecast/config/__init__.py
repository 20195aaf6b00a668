"""The configuration of a city: frozen models, read from YAML plus dotted overrides."""

from stforecast.config.city import Config
from stforecast.config.loading import PACKAGED, dump, fields, load, load_pretraining, parse
from stforecast.config.pretraining import Pretraining

__all__ = ["PACKAGED", "Config", "Pretraining", "dump", "fields", "load", "load_pretraining", "parse"]
