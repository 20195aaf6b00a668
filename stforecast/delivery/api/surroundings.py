"""What the map of the service shows around its cells, read from the files of the configuration once."""

from __future__ import annotations

import logging
from threading import Lock

from stforecast.config import Config
from stforecast.delivery.api.served import Places
from stforecast.delivery.around import around
from stforecast.delivery.compact import to_text
from stforecast.delivery.layers import read_layers

LOG = logging.getLogger("stforecast.service")


class Surroundings:
    """The layers of a configuration, packed for the places that are served."""

    def __init__(self, config: Config) -> None:
        self.config, self.lock = config, Lock()
        self.places: Places | None = None
        self.body = b""

    def of(self, places: Places) -> bytes:
        """As JSON; made anew where other places are served."""
        with self.lock:
            if self.places is not places:
                layers = read_layers(self.config, places.geometry, LOG.warning)
                self.body, self.places = to_text(around(layers, self.config.map.tiles)).encode(), places
            return self.body
