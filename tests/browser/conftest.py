"""One JupyterLab for all of these tests, and pages in a real Chromium; without a browser they are skipped, aloud."""

import subprocess
import sys

import pytest

from tests.browser.lab import Book, Server
from tests.chromium import running


@pytest.fixture(scope="package")
def chromium():
    with running() as browser:
        yield browser


@pytest.fixture(scope="session")
def lab(tmp_path_factory):
    server = Server(tmp_path_factory.mktemp("lab"))
    yield server.ready()
    server.close()


@pytest.fixture
def page(chromium):
    """A page of 1400 x 1000 in which no view of ours may fail.

    They are modules of blobs. Lab's own code, served as /static/, throws now and then when a kernel ends: a message
    that came in part, a node that React no longer finds.
    """
    context = chromium.new_context(viewport={"width": 1400, "height": 1000})
    page, wrong = context.new_page(), []
    page.on("pageerror", lambda error: wrong.append(f"{error}\n{error.stack}"))
    yield page
    context.close()
    assert [one for one in wrong if "blob:" in one or "/static/" not in one] == []


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
