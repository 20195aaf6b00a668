"""What axe-core finds on a page: barriers for readers who cannot see it, or not well, or use no mouse.

axe-core (MPL-2.0) comes in axe-playwright-python (MIT), an extra of developers that is not shipped.
"""

import shutil
from importlib.util import find_spec
from pathlib import Path
from typing import Any

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
QUIET = ["--no-sandbox", "--disable-gpu", "--disable-background-networking", "--disable-component-update"]
QUIET += ["--disable-sync", "--no-first-run"]
MISSING = ", ".join(
    name
    for name, there in {
        "playwright": find_spec("playwright"),
        "Chromium": CHROMIUM,
        "axe-core": find_spec("axe_playwright_python"),
    }.items()
    if not there
)
"""What is not installed of what is needed."""


def findings(page: Any) -> list[str]:
    """Each rule that a page of playwright breaks, but for those of little weight, with the elements that do."""
    if not page.evaluate("'axe' in window"):
        import axe_playwright_python

        script = Path(axe_playwright_python.__file__).parent / "axe.min.js"
        page.evaluate(script.read_text(encoding="utf-8"))
    found = page.evaluate("axe.run(document, { resultTypes: ['violations'] })")
    return [
        f"{rule['impact']} {rule['id']}: {rule['help']}: {', '.join(str(node['target']) for node in rule['nodes'])}"
        for rule in found["violations"]
        if rule["impact"] != "minor"
    ]


def findings_in(path: Path) -> list[str]:
    """What is found in a file, on a desk and on a phone; nothing where MISSING."""
    if MISSING:
        return []
    from playwright.sync_api import sync_playwright

    found = []
    with sync_playwright() as driver:
        browser = driver.chromium.launch(executable_path=CHROMIUM, args=QUIET)
        for width, height in ((1400, 900), (390, 844)):
            page = browser.new_page(viewport={"width": width, "height": height})
            page.goto(path.resolve().as_uri())
            found += findings(page)
        browser.close()
    return found
