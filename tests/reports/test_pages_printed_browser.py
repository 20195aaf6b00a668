"""Pages on paper: nothing is cut at the edge of the sheet, and no figure is split."""

import shutil
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from stforecast.reports.page import Page, Picture, Section, Table, Text, write_page

playwright = pytest.importorskip("playwright.sync_api", reason="playwright is not installed")
CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
pytestmark = pytest.mark.skipif(CHROMIUM is None, reason="no Chromium on this machine")
SHEET = {"width": 688, "height": 1000}  # CSS pixels of A4 between its margins


def test_wide_tables_fit_and_links_are_their_text(tmp_path: Path) -> None:
    from matplotlib.figure import Figure

    columns = [f"average_of_the_{number}th_forecaster" for number in range(14)]
    table = pd.DataFrame(np.random.default_rng(0).normal(size=(30, 14)).round(4), columns=columns)
    blocks = [Text("What stands here."), Table("wide", table, "A wide table"), Picture("figure", Figure((9, 12)), "a")]
    path = write_page(Page("page", "Some city", {"City": "Some"}, [Section("all", "All", blocks)]), tmp_path / "page")
    with playwright.sync_playwright() as driver:
        browser = driver.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        page = browser.new_page(viewport=SHEET, color_scheme="dark")
        page.goto(path.as_uri())
        page.emulate_media(media="print")
        assert page.evaluate("document.documentElement.scrollWidth") <= SHEET["width"]
        assert page.evaluate("document.querySelector('img').getBoundingClientRect().height") < SHEET["height"] / 2
        assert page.locator("nav").is_hidden()
        browser.close()
