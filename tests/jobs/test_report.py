"""The HTML of a hostile notebook: twenty payloads in every place that text reaches, and not one fires."""

import json
import subprocess
import sys

import nbformat
import pytest

from tests import chromium
from tests.browser.hostile import STRINGS

DISPLAYED = """from IPython.display import HTML, Latex, Markdown, SVG, display
from pathlib import Path
import json, os, sys
payloads = json.loads(Path({path!r}).read_text())
for text in payloads:
    print(text)
    print(text, file=sys.stderr)
    display(HTML(text), Markdown(text), Latex(text), {{text: [text]}})
    display({{'text/html': f'<p title="{{text}}">{{text}}</p>', 'text/plain': text}}, raw=True)
    display({{'image/svg+xml': f'<svg xmlns="http://www.w3.org/2000/svg"><text>{{text}}</text></svg>'}}, raw=True)
    display({{'application/json': {{text: text}}, 'application/javascript': text, 'text/latex': text}}, raw=True)
    display({{'text/html': text}}, raw=True, metadata={{text: text}})"""
FIRED = """() => {
    for (const one of document.querySelectorAll("*")) {
        for (const kind of ["mouseover", "focus", "error", "load", "toggle"]) one.dispatchEvent(new Event(kind));
        const leads = ["file:", "http:", "https:"].includes(one.protocol);  // to another page: no code of this one
        if (one.matches("a[href], button, summary") && !leads) one.click();
    }
    const inside = [...document.querySelectorAll("iframe")].map((frame) => frame.contentWindow?.__pwned);
    return [window.__pwned, ...inside].filter((one) => one !== undefined); }"""
ARMED = """() => [...document.querySelectorAll("*")].filter((one) =>
    one.matches("script, iframe, object, embed, base") ||
    [...one.attributes].some(({ name, value }) => name.startsWith("on") ||
        (/(href|src|srcdoc|action|data)$/.test(name) && /^\\s*javascript:/i.test(value))))
    .map((one) => one.outerHTML.slice(0, 200))"""


@pytest.fixture(scope="module")
def report(tmp_path_factory):
    """The HTML of a job whose name, title, cells, parameters, outputs and error are hostile."""
    place = tmp_path_factory.mktemp("hostile")
    (place / "payloads.json").write_text(json.dumps(STRINGS), encoding="utf-8")
    code = [nbformat.v4.new_code_cell(f"text: str = {STRINGS[0]!r}  # {STRINGS[1]}",
                                      metadata={"tags": ["parameters", STRINGS[2]]}),
            nbformat.v4.new_code_cell(DISPLAYED.format(path=str(place / "payloads.json"))),
            nbformat.v4.new_code_cell("raise ValueError('\\n'.join([text, *payloads]))")]
    said = [nbformat.v4.new_markdown_cell(f"# {text}\n\n{text}\n\n[a]({text}) ![b]({text})") for text in STRINGS]
    raw = [nbformat.v4.new_raw_cell(text, metadata={"format": "text/html"}) for text in STRINGS]
    book = nbformat.v4.new_notebook(cells=[*said, *code[:2], *raw, code[2]], metadata={
        "title": STRINGS[4], "authors": [{"name": STRINGS[0]}], "language_info": {"name": "python"}})
    source = place / '"><img src=x onerror=window.__pwned=1>.ipynb'
    nbformat.write(book, source)
    done = subprocess.run([sys.executable, "-m", "workbench", "run", str(source), "-p", f"text={''.join(STRINGS)}",
                           "--out", str(place / "run")], capture_output=True, text=True, timeout=300)
    assert done.returncode == 1 and "failed: ValueError" in done.stderr, done.stderr
    [page] = (place / "run").glob("*.html")
    return page


def test_not_one_of_twenty_payloads_fires(report):
    assert len(STRINGS) == 20
    heard: list[str] = []
    with chromium.running() as browser:
        page = browser.new_page()
        page.on("dialog", lambda dialog: (heard.append(dialog.message), dialog.accept()))
        page.on("request", lambda request: heard.append(request.url) if request.url.startswith("http") else None)
        page.on("popup", lambda other: heard.append(other.url))
        page.goto(report.as_uri())
        assert "right to left" in page.inner_text("body") and len(page.inner_text("body")) > 20_000
        assert page.evaluate(ARMED) == []
        assert page.evaluate(FIRED) == []
        page.wait_for_timeout(500)
        assert page.url.startswith("file:") and page.evaluate("window.__pwned ?? null") is None and heard == []


def test_a_page_without_the_policy_would_not_fire_either(report, tmp_path):
    """Sanitising alone holds; the policy is the second wall."""
    bare = tmp_path / "bare.html"
    text = report.read_text(encoding="utf-8")
    start = text.index("<meta http-equiv=\"Content-Security-Policy\"")
    bare.write_text(text[:start] + text[text.index(">", start) + 1 :], encoding="utf-8")
    with chromium.running() as browser:
        page = browser.new_page()
        page.goto(bare.as_uri())
        assert page.evaluate(FIRED) == []
        page.wait_for_timeout(500)
        assert page.evaluate("window.__pwned ?? null") is None


def test_the_payloads_would_fire_where_nothing_holds_them(tmp_path):
    """So that the test above tests something."""
    (tmp_path / "open.html").write_text("".join(f"<p>{text}</p>" for text in STRINGS[1:4]), encoding="utf-8")
    with chromium.running() as browser:
        page = browser.new_page()
        page.goto((tmp_path / "open.html").as_uri())
        page.wait_for_timeout(500)
        assert page.evaluate("window.__pwned ?? null") is not None
