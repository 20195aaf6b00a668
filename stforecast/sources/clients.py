"""The client of each kind of table."""

from __future__ import annotations

from stforecast.config.sections import Table
from stforecast.sources.arcgis import ArcGIS, layers_of
from stforecast.sources.ckan import Ckan
from stforecast.sources.file_downloads import file_client
from stforecast.sources.page import TableClient
from stforecast.sources.socrata import Socrata
from stforecast.sources.web import Web


def single_tables(web: Web, table: Table) -> list[Table]:
    """A table as those that are fetched apart: each file by itself, and each layer of a service that bears its name."""
    if table.kind == "arcgis":
        return layers_of(web, table)
    return [table.model_copy(update={"url": url}) for url in table.urls]


def client_of(table: Table, web: Web, keyed: bool) -> TableClient:
    """The client of a table of one address. keyed: its rows have a key of the publisher's own."""
    match table.kind:
        case "socrata":
            return Socrata(web, table, keyed)
        case "arcgis":
            return ArcGIS(web, table, keyed)
        case "ckan":
            return Ckan(web, table, keyed)
    return file_client(web, table)
