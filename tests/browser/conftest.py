"""One JupyterLab for all of these tests, and pages in a real Chromium; without a browser they are skipped, aloud."""

import os
import shutil
import subprocess
import sys

import pytest

from tests.browser.lab import Book, Server

CHROMIUM = os.environ.get("WORKBENCH_CHROMIUM") or shutil.which("chromium") or shutil.which("chromium-browser")


@pytest.fixture(scope="package")
def chromium():
    """A running browser; it ends with this package, for Playwright runs once in a process and others want it too."""
    if CHROMIUM is None:
        pytest.skip("NO CHROMIUM: install Debian's `chromium`, or name one in WORKBENCH_CHROMIUM; Lab is NOT tested")
    api = pytest.importorskip("playwright.sync_api", reason="NO PLAYWRIGHT: pip install playwright; Lab is NOT tested")
    with api.sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox", "--disable-gpu"])
        yield browser
        browser.close()


@pytest.fixture(scope="session")
def lab(tmp_path_factory):
    server = Server(tmp_path_factory.mktemp("lab"))
    yield server.ready()
    server.close()


@pytest.fixture
def page(chromium):
    """A page of 1400 x 1000 whose scripts may not fail."""
    context = chromium.new_context(viewport={"width": 1400, "height": 1000})
    page, wrong = context.new_page(), []
    page.on("pageerror", lambda error: wrong.append(str(error)))
    yield page
    context.close()
    assert wrong == []


@pytest.fixture
def book(lab, page):
    """``book(name, cells, **metadata)``: a notebook of these cells (or explore) in a folder of its own, open in Lab.
    Its kernel ends with the test."""
    opened = []

    def made(name: str, cells: list[str] | None = None, mode: str = "lab", **metadata) -> Book:
        opened.append(Book(lab, page, lab.notebook(name, cells, **metadata)))
        return opened[-1].open(mode)

    yield made
    for one in opened:
        one.forget()


@pytest.fixture(scope="session")
def kernel(request, lab):
    """The kernelspec's name of an ipykernel: "installed", or an older one that pip brings once for all runs."""
    if request.param == "installed":
        return "python3"
    target = request.config.cache.mkdir("ipykernel-" + request.param)
    if not (target / "ipykernel").exists():
        wanted = [f"ipykernel=={request.param}.*", "nest-asyncio"]
        command = [sys.executable, "-m", "pip", "install", "--no-deps", "--quiet", "--target", str(target), *wanted]
        got = subprocess.run(command, capture_output=True, text=True, timeout=120)
        if got.returncode:
            pytest.skip(f"NO IPYKERNEL {request.param}: pip said {got.stderr[-300:]!r}; the older kernel is NOT tested")
    name = f"ipykernel-{request.param}"
    lab.kernel(name, str(target))
    return name
