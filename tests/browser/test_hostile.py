"""Names, titles, notes, marks, messages, docs, labels and folders that are markup or code stay text, everywhere."""

import pytest

from tests.browser.hostile import HARM, SHOWN, STRINGS, everything
from tests.browser.lab import until
from widgets.dashboard import Dashboard
from widgets.inspector import prepared as inspected
from widgets.panel import Panel
from widgets.player import prepared as played
from widgets.view import standalone

NAMES = ["dashboard", "panel", "player", "inspector"]
WHOLE = {"dashboard": lambda data: Dashboard(**data).whole(), "panel": lambda data: Panel(**data).whole(),
         "player": played, "inspector": inspected}  # fmt: skip
HARMLESS = {"pwned": None, "foreign": [], "armed": []}

MADE = """from tests.browser.hostile import STRINGS, everything
from widgets.dashboard import Dashboard
from widgets.inspector import Inspector
from widgets.panel import Panel
from widgets.player import Player
from IPython.display import display
kinds = {"dashboard": Dashboard, "panel": Panel, "player": Player, "inspector": Inspector}
views = {name: kind(**everything(STRINGS[0])[name]) for name, kind in kinds.items()}
display(*views.values())"""

WATCHED = """from pathlib import Path
from tests.browser.hostile import STRINGS
from workbench import cells as w
from workbench.record.store import Store
found = {}
for i, text in enumerate(STRINGS):
    folder = Path("runs") / (text.replace("/", "|")[:60] + str(i))
    store = Store(folder)
    store.event("step", step=1, act=text, updates=[{"trains": [text], "parts": {text: 1.0}, "total": 1.0, "lr": 0.1,
                "grad_norm": 1.0}])
    store.event("change", step=1, name=text, value=text, before=text)
    store.event("refused", step=1, command=text, message=text)
    store.describe(status="failed", error=text, recipe={"steps": 10}, step=1, pid=None)
    found[folder] = text
shown = w.watch(list(found)[:8])
print(len(shown.panels))"""


def bare(text: str) -> str:
    """Without white space, which a page's title is stripped of."""
    return "".join(text.split())


def shown(page) -> dict:
    return page.evaluate(SHOWN, NAMES)


def test_in_lab_every_string_stays_text(book):
    book = book("hostile", [MADE], mode="doc")
    book.run(0)
    for text in STRINGS:
        book.say(f"for name, view in views.items():\n    view.show(**everything({text!r})[name])")
        until(lambda text=text: all(text in (said or "") for said in shown(book.page).values()), 20, repr(text[:60]))
        assert book.page.evaluate(HARM) == HARMLESS and book.dialogs == []
    book.page.locator(".wb-chart").first.hover()  # tips hold text too
    book.page.locator(".wb-player canvas").first.hover()
    assert book.page.evaluate(HARM) == HARMLESS and book.dialogs == []


def test_in_lab_a_hostile_folder_is_watched(book):
    book = book("hostile-folders", [WATCHED], mode="doc")
    assert book.run(0)["text"].split()[-1] == "8"  # matplotlib may warn that such names leave no room
    until(lambda: book.page.locator(".wb-panel").count() == 8, 20, "the panels")
    until(lambda: "__pwned = 1" in book.page.locator(".wb-panel").first.inner_text(), 10, "its error")
    assert book.page.evaluate(HARM) == HARMLESS and book.dialogs == []


@pytest.mark.parametrize("name", NAMES)
def test_in_a_page_of_its_own_every_string_stays_text(name, page, tmp_path):
    dialogs: list[str] = []
    page.on("dialog", lambda dialog: (dialogs.append(dialog.message), dialog.accept()))
    for i, text in enumerate(STRINGS):
        path = tmp_path / f"{i}.html"
        path.write_text(standalone(name, WHOLE[name](everything(text)[name]), text), encoding="utf-8")
        page.goto(path.as_uri())
        page.wait_for_function("document.querySelector('.wb')?.dataset.painted > 0", timeout=10_000)
        assert text in shown(page)[name] and bare(page.title()) == bare(text)
        assert page.evaluate(HARM) == HARMLESS and page.locator("script").count() == 1 and dialogs == []
