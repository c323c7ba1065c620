"""The browser of all tests that look at a page. Playwright runs once in a process, and not beside another event loop
(as executing a notebook needs), so each folder of tests starts it for itself and ends it."""

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest

PATH = os.environ.get("WORKBENCH_CHROMIUM") or shutil.which("chromium") or shutil.which("chromium-browser")


@contextmanager
def running() -> Iterator[Any]:
    """A headless Chromium; without one the test is skipped, and says so."""
    if PATH is None:
        pytest.skip("NO CHROMIUM: install Debian's `chromium`, or name one in WORKBENCH_CHROMIUM; views are NOT tested")
    api = pytest.importorskip("playwright.sync_api", reason="NO PLAYWRIGHT: pip install it; views are NOT tested")
    with api.sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=PATH, args=["--no-sandbox", "--disable-gpu"])
        yield browser
        browser.close()
