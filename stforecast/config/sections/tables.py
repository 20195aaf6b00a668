"""Where a publisher's tables of reports can be fetched from."""

from __future__ import annotations

import re
from typing import Literal
from urllib.parse import urlsplit

from pydantic import Field, model_validator

from stforecast.config.sections.section import Section

WEB = ("http", "https")
STORES = ("s3", "gs", "az", "abfs", "abfss")


class Table(Section):
    """A table of reports at its publisher's address."""

    kind: Literal["socrata", "arcgis", "ckan", "file"]
    """how it is asked for: by the API of Socrata, ArcGIS or CKAN, or as plain files"""
    url: str | list[str] = Field(min_length=1)
    """socrata, ckan: address of the portal; arcgis: of the layer, or of the service that has the layers; file: of the
    file or files (http, https, s3, gs, az), or of a folder of a store (with / behind it)"""
    dataset: str | None = None
    """id of the data set (socrata: 4 letters - 4 letters) or of the resource (ckan); arcgis: name of the layers of the
    service, with * and ? as wildcards"""
    date: str | None = None
    """column of the date by which new rows are asked for; without it, and without a key of the rows, every fetch of a
    changed table is a whole one; not needed for socrata"""
    where: str | None = None
    """condition on the rows in the publisher's own language (SoQL, SQL of ArcGIS)"""

    @property
    def urls(self) -> list[str]:
        """The addresses."""
        return [self.url] if isinstance(self.url, str) else self.url

    @property
    def name(self) -> str:
        """A name for folders, of a to z, 0 to 9 and _."""
        first = urlsplit(self.urls[0])
        said = self.dataset or f"{first.netloc}_{first.path}"
        if self.kind == "arcgis" and self.dataset:
            said = f"{first.path}_{self.dataset}"
        return re.sub("[^a-z0-9]+", "_", said.lower()).strip("_")[-60:].strip("_") or self.kind

    @model_validator(mode="after")
    def _of_a_kind(self) -> Table:
        schemes = WEB + STORES if self.kind == "file" else WEB
        for url in self.urls:
            if urlsplit(url).scheme not in schemes or not urlsplit(url).netloc:
                raise ValueError(f"{url}: give an address that begins with {', '.join(f'{s}://' for s in schemes)}")
            if "@" in urlsplit(url).netloc:
                raise ValueError("an address with a name or password in it: those come from the environment alone")
        if self.kind in ("socrata", "ckan") and not self.dataset:
            raise ValueError(f"{self.urls[0]}: name the data set of the portal as dataset")
        if self.kind == "socrata" and not re.fullmatch("[a-z0-9]{4}-[a-z0-9]{4}", str(self.dataset)):
            raise ValueError(f"{self.dataset}: a data set of Socrata has an id such as ijzp-q8t2")
        if self.kind != "file" and len(self.urls) > 1:
            raise ValueError("several addresses are for plain files; of others give a table each")
        if self.where and self.kind not in ("socrata", "arcgis"):
            raise ValueError("where: for socrata and arcgis alone")
        return self
