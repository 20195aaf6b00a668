"""What the package is made with: a lock file with hashes, licences, and a bill of materials.

    python scripts/supply_chain.py lock       # constraints.txt → requirements.lock, for this platform and Python
    python scripts/supply_chain.py licences   # → docs/licences.md
    python scripts/supply_chain.py sbom FILE  # CycloneDX 1.5 as JSON

`lock` asks the package index that pip is set to; the others read the metadata of what is installed here.
"""

from __future__ import annotations

import json
import re
import subprocess
import sys
from email.message import Message
from importlib.metadata import PackageNotFoundError, metadata
from pathlib import Path
from typing import Any, cast

HOME = Path(__file__).parents[1]
PINS = HOME / "constraints.txt"
LOCK = HOME / "requirements.lock"
COPYLEFT = re.compile(r"\b[AL]?GPL|\bMPL\b|Mozilla|General Public|\bEPL\b|\bEUPL\b|\bCDDL\b", re.IGNORECASE)
UNKNOWN = "unknown"
APART = ("py4j", "pyspark")
"""Of the extra `spark`, which is 470 MB and has no wheel: pinned, and not in what is written here."""


def pins() -> dict[str, str]:
    """Name → version of `constraints.txt`, but for what stands `APART`."""
    return {
        name: version
        for name, version in (line.split("==") for line in PINS.read_text("utf-8").split())
        if name not in APART
    }


def lock() -> str:
    """A line a package: its version and the hash of the file that pip would install here."""
    options = ["--dry-run", "--ignore-installed", "--no-deps", "--only-binary", ":all:", "--quiet"]
    named = [f"{name}=={version}" for name, version in pins().items()]
    pip = [sys.executable, "-m", "pip", "install", *options, "--report", "-", *named]
    found = json.loads(subprocess.run(pip, check=True, stdout=subprocess.PIPE, text=True).stdout)
    lines = [
        f"{one['metadata']['name']}=={one['metadata']['version']} "
        f"--hash=sha256:{one['download_info']['archive_info']['hashes']['sha256']}"
        for one in sorted(found["install"], key=lambda one: normal(one["metadata"]["name"]))
    ]
    python = ".".join(map(str, sys.version_info[:2]))
    return "\n".join([f"# {sys.platform}, Python {python}: written by scripts/supply_chain.py", *lines, ""])


def normal(name: str) -> str:
    """A package's name as indexes compare it."""
    return re.sub(r"[-_.]+", "-", name).lower()


def licence(name: str) -> str:
    """The licence that an installed package names: an SPDX expression, else its classifiers, else its text's head."""
    try:
        facts = cast(Message, metadata(name))
    except PackageNotFoundError:
        return f"{UNKNOWN} (not installed here)"
    classes = [line.rpartition(" :: ")[2] for line in facts.get_all("Classifier", []) if line.startswith("License ::")]
    classes = [name for name in classes if name != "OSI Approved"]  # says nothing
    text = next((line.strip() for line in (facts["License"] or "").splitlines() if line.strip()), "")
    return facts["License-Expression"] or ", ".join(classes) or text[:60] or UNKNOWN


def licences() -> str:
    """A table of packages, versions and licences; copyleft and unknown ones are marked."""
    rows = []
    for name, version in sorted(pins().items(), key=lambda pin: pin[0].lower()):
        found = licence(name)
        mark = "look it up" if found.startswith(UNKNOWN) else "copyleft" if COPYLEFT.search(found) else ""
        rows.append(f"| {name} | {version} | {found.replace('|', '/')} | {mark} |")
    head = "# Licences\n\nOf every package in `constraints.txt`, as its own metadata names it. stforecast is MIT;"
    head += " the extra `postgres` adds psycopg (LGPL), and `spark` pyspark (Apache-2.0) and py4j (BSD)."
    about = "Copyleft packages are used as they are, by import; none is changed or shipped."
    table = ["| package | version | licence | |", "| --- | --- | --- | --- |", *rows]
    return "\n".join([head, about, "", *table, ""])


def sbom() -> dict[str, Any]:
    """The packages as CycloneDX, with the hashes of the lock file."""
    locked = re.findall(r"^(\S+)==\S+ --hash=sha256:(\w+)$", LOCK.read_text("utf-8"), re.MULTILINE)
    hashes = {normal(name): digest for name, digest in locked}
    components = [
        {
            "type": "library",
            "name": name,
            "version": version,
            "purl": f"pkg:pypi/{normal(name)}@{version}",
            "hashes": [{"alg": "SHA-256", "content": hashes[normal(name)]}],
            "licenses": [{"license": {"name": licence(name)}}],
        }
        for name, version in pins().items()
    ]
    return {"bomFormat": "CycloneDX", "specVersion": "1.5", "version": 1, "components": components}


if __name__ == "__main__":
    match sys.argv[1:]:
        case ["lock"]:
            LOCK.write_text(lock(), "utf-8")
        case ["licences"]:
            (HOME / "docs/licences.md").write_text(licences(), "utf-8")
        case ["sbom", target]:
            Path(target).write_text(json.dumps(sbom(), indent=1) + "\n", "utf-8")
        case _:
            sys.exit(__doc__)
