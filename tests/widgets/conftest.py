"""A real Chromium for the views: each in a page of its own, with a model that keeps what the page says."""

import json

import pytest

from tests.chromium import running
from widgets.view import pack, source, style


@pytest.fixture(scope="package")
def chromium():
    with running() as browser:
        yield browser


@pytest.fixture
def page(chromium):
    """A blank page of 1000 x 800; an error in its scripts fails the test."""
    context = chromium.new_context(viewport={"width": 1000, "height": 800})
    page = context.new_page()
    wrong: list[str] = []
    page.on("pageerror", lambda error: wrong.append(str(error)))
    page.on("console", lambda message: message.type == "error" and wrong.append(message.text))
    yield page
    context.close()
    assert wrong == []


DARK = """--jp-layout-color0: #111; --jp-layout-color1: #1c1c1c; --jp-ui-font-color0: #fff; --jp-ui-font-color2: #aaa;
--jp-border-color1: #555; --jp-border-color2: #444; --jp-brand-color3: #14405f;"""


@pytest.fixture
def mount(page):
    """``mount(module, data, dark=False)`` shows a view; the page's ``said`` holds what it told Python, and
    ``tell(kind, data)`` (returned) sends it another message as the kernel would."""

    def shown(module: str, data: dict, dark: bool = False):
        look = f"{DARK if dark else ''} background: var(--jp-layout-color0, #fff)"
        body = f"<style>{style(module)} body {{ {look} }}</style>"
        page.set_content(f'<!doctype html><meta charset="utf-8">{body}<div id="view"></div>')
        page.add_script_tag(type="module", content=source(module) + """
            const ears = []; window.said = [];
            const model = { on: (_, ear) => ears.push(ear), off: (_, ear) => ears.splice(ears.indexOf(ear), 1),
              get: () => undefined, set: () => {}, save_changes: () => {},
              send: (content) => window.said.push(content) };
            window.tellView = (content, texts) => { const buffers = texts.map((text) =>
              Uint8Array.from(atob(text), (letter) => letter.charCodeAt(0)).buffer);
              ears.forEach((ear) => ear(content, buffers.map((one) => new DataView(one)))); };
            render({ model, el: document.getElementById("view") });""")
        page.wait_for_function("window.tellView !== undefined")
        number = 0

        def tell(kind: str, data: dict) -> None:
            nonlocal number
            import base64

            number, buffers = number + 1, []
            content = {"kind": kind, "number": number, "data": pack(data, buffers)}
            texts = [base64.b64encode(one).decode() for one in buffers]
            message = [json.loads(json.dumps(content)), texts]
            page.evaluate("([content, texts]) => window.tellView(content, texts)", message)

        tell("show", data)
        page.wait_for_function("window.said.some((one) => one.kind === 'seen')")
        return tell

    return shown
