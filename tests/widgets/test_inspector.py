"""The inspector of predictions: alignment of rows, what it refuses, branching, and what a page makes of it."""

import re

import numpy as np
import pytest

from tests.widgets.samples import HOSTILE, marks, pace, painted, shot, targets, walk
from widgets.inspector import Inspector, aligned, prepared
from widgets.view import standalone


def change(**fields) -> dict:
    data = targets(samples=20)
    data["rows"][0] |= fields
    return data


def told(page) -> list[dict]:
    return page.evaluate("said.filter((one) => one.kind === 'event').map((one) => one.data)")


def chosen(page) -> tuple[int, int]:
    """Row and column of the cell that is enlarged."""
    return tuple(page.evaluate("""() => { const td = document.querySelector('td[aria-selected="true"]');
        return [[...td.closest("tbody").rows].indexOf(td.parentNode), td.cellIndex - 1]; }"""))


def cell(page, row: int, column: int):
    return page.locator("tbody tr").nth(row).locator("td").nth(column)


BAD = {
    "1 to 64": lambda: targets(samples=20) | {"rows": []},
    "kind is": lambda: targets(samples=20) | {"kind": None},
    "x0 missing": lambda: change(x0=None),
    "must fall": lambda: change(sigma=np.linspace(0, 1, 40)),
    "x0 holds 20 samples, not 7": lambda: targets(samples=20) | {"samples": 7},
    "one entry per entry of sigma": lambda: change(x0=np.zeros((3, 20, 2))),
    "change holds NaN": lambda: change(change=np.full(40, np.nan)),
    "to_end has shape (39,)": lambda: change(to_end=np.zeros(39)),
    "diversity holds NaN": lambda: change(diversity=np.full(40, np.inf)),
    "final like one step": lambda: change(final=np.zeros((20, 3))),
    "a colour's name": lambda: change(colour="red; background: url(//evil)"),
}


@pytest.mark.parametrize("said", BAD)
def test_bad_data_are_refused_with_the_way_out(said):
    with pytest.raises(ValueError, match=re.escape(said)):
        Inspector(**BAD[said]())


def test_steps_stand_once_in_the_nearest_column():
    columns = np.array([80.0, 10.0, 1.0, 0.1, 0.0])
    assert aligned(np.array([80.0, 0.9, 0.0]), columns).tolist() == [0, -1, 1, -1, 2]
    assert aligned(np.array([np.inf]), columns).tolist() == [0, -1, -1, -1, -1]
    assert aligned(np.geomspace(80, 0.1, 31), columns[:-1])[[0, 3]].tolist() == [0, 30]


def test_long_walks_get_twelve_columns_with_both_ends():
    data = prepared(targets(samples=30))
    teacher, student, twin = data["rows"]
    assert data["picked"].tolist()[0] == 0 and data["picked"].tolist()[-1] == 39 and len(data["columns"]) == 12
    assert teacher["x0"].shape == (12, 30, 2) and twin["place"].tolist() == list(range(12))
    assert sorted(student["cells"][student["cells"] >= 0].tolist()) == [0, 1, 2, 3] and len(student["to_end"]) == 4
    assert any("12 of 40 steps" in note for note in data["notes"])


def test_too_many_samples_are_left_out_and_said():
    data = prepared(targets(samples=2500))
    assert data["samples"] == 2000 and data["rows"][0]["x0"].shape[1] == 2000
    assert any("2,000 of 2,500 samples" in note for note in data["notes"])


def test_added_rows_are_kept_and_sent():
    inspector, sent = Inspector(**targets(samples=20)), []
    inspector.send = lambda content, buffers: sent.append(content)
    hybrid = walk(np.zeros((40, 20, 2)), targets(samples=20)["rows"][0]["sigma"])
    inspector.add({"name": "branched", "role": "average", **hybrid})
    assert [row["name"] for row in inspector.whole()["rows"]][-1] == "branched"
    assert sent[0]["kind"] == "append" and sent[0]["data"]["rows"][0]["name"] == "branched"
    with pytest.raises(ValueError, match="from the same noise"):
        inspector.add({"name": "other", **walk(np.zeros((40, 19, 2)), hybrid["sigma"])})
    assert len(inspector.data["rows"]) == 4


@pytest.mark.parametrize("kind", ["points", "images"])
def test_cells_are_drawn_chosen_and_walked_by_keys(page, mount, kind):
    mount("inspector", prepared(targets(kind, 40)))
    assert page.locator("thead th").count() == 14 and page.locator("td canvas").count() == 13 + 5 + 13
    assert min(marks(page, "td canvas")) > 30 and min(marks(page, ".wb-charts, .wb-detail")) > 1000
    assert chosen(page) == (0, 0)
    cell(page, 2, 5).click()
    before = (painted(page), marks(page, ".wb-detail"))[1]
    assert chosen(page) == (2, 5) and page.locator("thead .wb-now").count() == 1
    assert "from teacher" in page.locator(".wb-apart").inner_text()
    for key, place in (("ArrowRight", (2, 6)), ("ArrowUp", (1, 6)), ("ArrowUp", (0, 6)), ("Home", (0, 0)),
                       ("End", (0, 12))):
        page.keyboard.press(key)
        painted(page)
        assert chosen(page) == place or place[0] == 1  # the student has no step everywhere
    assert marks(page, ".wb-detail") != before and "final sample" in page.locator(".wb-facts").inner_text()
    page.evaluate("window.workbenchClock.set({ sigma: 8 })")
    painted(page)
    assert chosen(page) == (0, 3)


def test_a_click_moves_the_pages_clock(page, mount):
    data = prepared(targets(samples=20))
    mount("inspector", data)
    cell(page, 0, 4).click()
    assert page.evaluate("window.workbenchClock.sigma") == data["columns"][4]


def test_another_sample_is_shown(page, mount):
    mount("inspector", prepared(targets("images", 40)))
    before = (painted(page), marks(page, "td canvas"))[1]
    page.locator(".wb-next").click()
    painted(page)
    assert marks(page, "td canvas") != before and page.locator(".wb-sample").input_value() == "2"
    page.locator(".wb-sample").fill("4000")
    page.locator(".wb-sample").press("Tab")
    painted(page)
    assert page.evaluate("window.workbenchClock.sample") == 39 and page.locator(".wb-sample").input_value() == "40"


def test_pointing_at_the_large_cell_follows(page, mount):
    mount("inspector", prepared(targets(samples=200)))
    x, y = targets(samples=200)["rows"][0]["x0"][0, 11]
    side = page.evaluate("(parseFloat(document.querySelector('.wb-detail').style.width) - 88) / 2") + 30 - 52
    place = {"x": 44 + float(x + 2.5) / 5 * side, "y": 22 + float(2.5 - y) / 5 * side}
    page.locator(".wb-detail").click(position=place)
    assert page.evaluate("[workbenchClock.sample !== null, workbenchClock.pinned]") == [True, True]
    page.keyboard.press("Escape")
    assert page.evaluate("workbenchClock.sample") is None


def test_branching_asks_python_and_shows_the_answer(page, mount):
    data = prepared(targets(samples=20))
    tell = mount("inspector", data)
    cell(page, 0, 3).click()
    painted(page)
    page.locator(".wb-with").select_option("student, 4 steps")
    page.locator(".wb-branch").click()
    step = int(data["rows"][0]["cells"][3])
    assert told(page) == [{"event": "branch", "row": 0, "step": step, "with": "student, 4 steps"}]
    tell("append", {"rows": [data["rows"][1] | {"name": "branched", "role": "average"}]})
    painted(page)
    assert page.locator("tbody tr").count() == 4 and "branched" in page.locator("tbody tr").nth(3).inner_text()
    assert chosen(page)[0] == 3


def test_no_branch_without_a_kernel(page, mount, tmp_path):
    mount("inspector", prepared(targets(samples=20, can_branch=False)))
    assert painted(page) and page.locator(".wb-branch").count() == 0
    assert "branching needs a running kernel" in page.locator(".wb-facts").inner_text()
    html = standalone("inspector", prepared(targets("images", 20)), "Bars")
    (tmp_path / "view.html").write_text(html, encoding="utf-8")
    page.goto((tmp_path / "view.html").as_uri())
    assert painted(page) >= 1 and min(marks(page, "td canvas")) > 30 and page.locator(".wb-branch").count() == 0


def test_hostile_words_stay_words(page, mount):
    data = targets(samples=20, title=HOSTILE, notes=[HOSTILE])
    data["rows"][1] |= {"name": HOSTILE, "unit": HOSTILE}
    mount("inspector", prepared(data))
    cell(page, 1, 0).click()
    painted(page)
    assert page.evaluate("window.hurt") is None and page.locator(".wb img, .wb script").count() == 0
    assert HOSTILE in page.locator(".wb-facts").inner_text()


def test_the_clock_is_followed_quickly(page, mount):
    mount("inspector", prepared(targets(samples=2000)))
    each = pace(page, "workbenchClock.set({ sigma: 80 * 0.8 ** k })")
    print(f"{each:.1f} ms a frame")
    assert each < 1000 / 30


@pytest.mark.parametrize("dark", [False, True])
@pytest.mark.parametrize("width", [600, 1000, 1200])
def test_nothing_sticks_out(page, mount, dark, width):
    page.set_viewport_size({"width": width, "height": 800})
    for kind in ("points", "images"):
        mount("inspector", prepared(targets(kind, 200)), dark=dark)
        page.evaluate("window.workbenchClock.set({ sigma: 1.2, sample: 9, pinned: true })")
        cell(page, 2, 5).click()
        painted(page)
        assert page.evaluate("document.documentElement.scrollWidth <= window.innerWidth")
        shot(page, f"inspector-{kind}-{width}-{'dark' if dark else 'light'}")
