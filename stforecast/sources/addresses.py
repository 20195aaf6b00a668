"""An address → the table that is there. The address says what to ask for, and the answer whether it is that.

Socrata   …/d/abcd-1234 · …/Police/Name/abcd-1234/about_data · …/resource/abcd-1234.json · …/api/views/abcd-1234/…
ArcGIS    …/FeatureServer[/0] · …/MapServer[/0] · pages of an item, with its id of 32 letters
CKAN      …/dataset/NAME[/resource/ID] · …/api/3/action/…?id=NAME or resource_id=ID
else      a file
"""

from __future__ import annotations

import json
import posixpath
import re
import shlex
from collections.abc import Mapping
from typing import Any
from urllib.parse import parse_qs, unquote, urlsplit

from stforecast.config.sections import Table
from stforecast.config.sections.tables import WEB
from stforecast.errors import ConfigError, FetchError
from stforecast.sources.answers import redirected
from stforecast.sources.arcgis import answer_of
from stforecast.sources.page import UnusableError
from stforecast.sources.socrata import Socrata
from stforecast.sources.web import Answer, Web

ONLINE = "https://www.arcgis.com"
"""Where the items of hub pages are."""
TABULAR = ("CSV", "TSV", "XLS", "XLSX", "JSON", "GEOJSON", "PARQUET", "GPKG", "ZIP")
KNOWN = (
    "Known are pages and addresses of Socrata (with abcd-1234 in them), of ArcGIS (…/FeatureServer/0, or the page of "
    "an item with its id), of CKAN (…/dataset/…) and files. On a page, look for API, Data source or Download, and give "
    "the address that stands there."
)


def table_at(web: Web, url: str) -> tuple[Table, str]:
    """The table at an address, and a name for it.

    Args:
        web: the network.
        url: of a page, a service or a file.

    Raises:
        ConfigError: it is no address, or there are several tables, which are named.
        FetchError: nothing answers there, or nothing that holds rows.
    """
    if urlsplit(url).scheme not in WEB or not urlsplit(url).netloc:
        raise ConfigError(f"--url {url}: give an address that begins with https://.")
    failures: list[FetchError] = []
    for find in (_socrata, _arcgis, _item, _ckan):
        try:
            if found := find(web, url):
                return found
        except FetchError as error:
            failures.append(error)
    try:
        web.ask(url, lambda answer: answer.body, headers={"Range": "bytes=0-999"}, first=1000)
    except FetchError as error:
        first = failures[0] if failures else error
        raise FetchError(f"{first} {KNOWN}") from error
    stem = posixpath.basename(unquote(urlsplit(url).path)).partition(".")[0]
    return Table(kind="file", url=url), stem or urlsplit(url).netloc


def _socrata(web: Web, url: str) -> tuple[Table, str] | None:
    parts = urlsplit(url)
    segments = [segment.partition(".")[0] for segment in parts.path.split("/")]
    ids = [i for i, segment in enumerate(segments) if re.fullmatch("[a-z0-9]{4}-[a-z0-9]{4}", segment)]
    if not ids:
        return None
    at = ids[-1]
    table = Table(kind="socrata", url=f"{parts.scheme}://{parts.netloc}", dataset=segments[at])
    Socrata(web, table, False).count()
    named = at > 1 and segments[at - 1] not in ("d", "resource", "views", "id")
    return table, unquote(segments[at - 1]) if named else f"{parts.netloc.split('.')[-2]}_{segments[at]}"


def _arcgis(web: Web, url: str) -> tuple[Table, str] | None:
    found = re.match(r"(.*/([^/]+)/(?:Feature|Map)Server)(?:/(\d+))?", url)
    return _layer(web, found[1], found[3], unquote(found[2])) if found else None


def _item(web: Web, url: str) -> tuple[Table, str] | None:
    """The layer of an item of ArcGIS Online or of a portal, by its page."""
    if not (found := re.search(r"(?<![0-9a-f])([0-9a-f]{32})(?:_(\d+))?(?![0-9a-f])", url)):
        return None
    portal = url.partition("/home/item.html")[0] if "/home/item.html" in url else ONLINE
    about = web.ask(f"{portal}/sharing/rest/content/items/{found[1]}", answer_of, {"f": "json"})
    service = re.match(r"(.*/(?:Feature|Map)Server)(?:/(\d+))?", str(about.get("url")))
    name = str(about.get("title") or found[1])
    if service:
        redirected(portal, service[1], urlsplit(portal).netloc)
        return _layer(web, service[1], found[2] or service[2], name)
    return Table(kind="file", url=f"{portal}/sharing/rest/content/items/{found[1]}/data"), name


def _layer(web: Web, service: str, layer: str | None, name: str) -> tuple[Table, str]:
    if layer is not None:
        about = web.ask(f"{service}/{layer}", answer_of, {"f": "json"})
        if "fields" not in about:
            raise FetchError(f"{service}/{layer}: no layer with rows.")
        return Table(kind="arcgis", url=f"{service}/{layer}"), name
    about = web.ask(service, answer_of, {"f": "json"})
    layers = {
        f"{service}/{each['id']}": str(each["name"])
        for each in [*(about.get("layers") or []), *(about.get("tables") or [])]
        if each.get("type") != "Group Layer"
    }
    return Table(kind="arcgis", url=_only(layers, service)), name


def _ckan(web: Web, url: str) -> tuple[Table, str] | None:
    base, names = _ckan_names(url)
    if not base or not names:
        return None
    if resource := names.get("resource"):
        about = web.ask(f"{base}/api/3/action/resource_show", _result, {"id": resource})
        return _resource(base, about), str(names.get("dataset") or about.get("name") or resource)
    about = web.ask(f"{base}/api/3/action/package_show", _result, {"id": names["dataset"]})
    shown = f"{base}/dataset/{names['dataset']}/resource"
    resources = {
        f"{shown}/{each['id']}": each
        for each in about.get("resources") or []
        if each.get("datastore_active") or str(each.get("format")).upper().strip(". ") in TABULAR
    }
    chosen = _only({at: f"{each.get('name')}, {each.get('format')}" for at, each in resources.items()}, url)
    return _resource(base, resources[chosen]), names["dataset"]


def _ckan_names(url: str) -> tuple[str, Mapping[str, str]]:
    """The portal, and what an address names of it: a data set, a resource."""
    parts = urlsplit(url)
    root, asked = f"{parts.scheme}://{parts.netloc}", parse_qs(parts.query)
    if found := re.match(r"(.*?)/dataset/([^/]+)(?:/resource/([^/]+))?", parts.path):
        return root + found[1], {"dataset": found[2]} | ({"resource": found[3]} if found[3] else {})
    if found := re.match(r"(.*?)/api/3/action/(\w+)", parts.path):
        if resource := asked.get("resource_id") or (asked.get("id") if found[2] == "resource_show" else None):
            return root + found[1], {"resource": resource[0]}
        return root + found[1], {"dataset": asked["id"][0]} if "id" in asked else {}
    return "", {}


def _resource(base: str, about: Mapping[str, Any]) -> Table:
    """The table of a resource: its rows, or the file that it is."""
    if about.get("datastore_active"):
        return Table(kind="ckan", url=base, dataset=str(about["id"]))
    redirected(base, str(about["url"]), urlsplit(base).netloc)
    return Table(kind="file", url=str(about["url"]))


def _result(answer: Answer) -> dict[str, Any]:
    try:
        result = json.loads(answer.body)["result"]
    except (ValueError, KeyError, TypeError):
        raise UnusableError("no answer of CKAN") from None
    return dict(result)


def _only(found: Mapping[str, str], url: str) -> str:
    """The address of the only table among some, by their names.

    Raises:
        FetchError: there is none.
        ConfigError: there are several.
    """
    if not found:
        raise FetchError(f"{url}: holds no table.")
    if len(found) > 1:
        lines = [f"\n  stforecast init --url {shlex.quote(address)}   # {name}" for address, name in found.items()]
        raise ConfigError(f"{url}: holds {len(found)} tables. Choose one:{''.join(lines)}")
    return next(iter(found))
