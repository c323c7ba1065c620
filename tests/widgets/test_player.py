"""The trajectory player: what it refuses, what it leaves out, and what a page makes of it."""

import re

import numpy as np
import pytest

from tests.widgets.samples import HOSTILE, digits, marks, pace, painted, points, ring, shot
from widgets.player import Player, prepared
from widgets.view import pack, standalone


def steps_shown(page) -> list[str]:
    return page.locator("tbody tr td:nth-of-type(1)").all_inner_texts()


def change(data: dict, **fields) -> dict:
    model = data["moments"][0]["models"][0] | fields
    return data | {"moments": [{"step": None, "models": [model]}]}


BAD = {
    "kind is": lambda: points(20) | {"kind": "voxels"},
    "low below high": lambda: points(20) | {"limits": (1, 1)},
    "moments is empty": lambda: points(20) | {"moments": []},
    "holds a moment without models": lambda: points(20) | {"moments": [{"step": 1, "models": []}]},
    "states missing": lambda: change(points(20), states=None),
    "must fall": lambda: change(points(20), sigma=np.linspace(0, 1, 41)),
    "one entry per entry of sigma": lambda: change(points(20), states=np.zeros((7, 20, 2))),
    "NaN or infinity": lambda: change(points(20), states=np.full((41, 20, 2), np.nan)),
    "same shape as states": lambda: change(points(20), x0=np.zeros((41, 19, 2))),
    "pass grid": lambda: points(20) | {"grid": None},
    "one label per sample": lambda: points(20) | {"labels": ["a"]},
    "put the channels last": lambda: change(digits(4), states=np.zeros((13, 4, 3, 8, 8))),
    "rows are y": lambda: points(20) | {"density": {"x": [0, 1], "y": [0, 1, 2], "value": np.ones((2, 3))}},
    "a role, a colour's name": lambda: change(points(20), colour="url(//evil)"),
}


@pytest.mark.parametrize("said", BAD)
def test_bad_data_are_refused_with_the_way_out(said):
    with pytest.raises(ValueError, match=re.escape(said)):
        Player(**BAD[said]())


def test_models_must_share_their_noise():
    data = points(20)
    data["moments"][0]["models"][1] |= ring(19, 4)
    with pytest.raises(ValueError, match="start all of them from the same noise"):
        Player(**data)


def test_too_much_is_left_out_and_said():
    long = {"sigma": np.linspace(9, 0, 1001), "t": np.linspace(1, 0, 1001), "evaluations": np.arange(1001), "x0": None,
            "states": np.zeros((1001, 21_000, 2), np.float32), "velocity": None}
    data = prepared(change(points(20) | {"labels": None}, **long))
    model = data["moments"][0]["models"][0]
    assert model["states"].shape == (240, 20_000, 2) and model["sigma"][0] == 9 and model["sigma"][-1] == 0
    assert model["index"][-1] == model["steps"] == 1000
    assert any("20,000 of 21,000 samples" in note for note in data["notes"])
    assert any("240 of 1,001 steps" in note for note in data["notes"])


def test_heavy_images_are_fewer():
    states = np.zeros((41, 512, 64, 64, 3), np.float32)
    data = change(digits(4), sigma=np.linspace(9, 0, 41), t=np.linspace(1, 0, 41), evaluations=np.arange(41), x0=None)
    data["moments"][0]["models"][0]["states"] = states
    buffers: list[bytes] = []
    sent = prepared(data)
    pack(sent, buffers)
    assert sum(map(len, buffers)) < 100 << 20 and any("of 512 samples" in note for note in sent["notes"])


def test_images_go_as_bytes_within_their_limits():
    model = Player(**digits(4)).data["moments"][0]["models"][0]
    assert model["states"].dtype == np.uint8 and model["states"].shape == (13, 4, 16, 16, 1)
    halves = np.where(np.arange(16) < 8, -5.0, 1.0)[:, None] * np.ones((13, 4, 16, 16, 1))
    ends = change(digits(4), states=halves, x0=None)
    assert set(np.unique(prepared(ends)["moments"][0]["models"][0]["states"])) == {0, 255}


def test_pure_noise_is_a_noise_level():
    data = points(20)
    data["moments"][0]["models"][0]["sigma"][0] = np.inf
    assert Player(**data).data["moments"][0]["models"][0]["sigma"][0] == np.inf


def test_points_are_played_and_scrubbed(page, mount):
    mount("player", prepared(points()))
    assert steps_shown(page) == ["0 of 40", "0 of 4", "0 of 1"]
    assert len(marks(page)) == 3 and min(marks(page)) > 1000
    before, count = marks(page), painted(page)
    page.locator(".wb-slider").fill("40")
    assert painted(page) > count and marks(page) != before
    assert steps_shown(page) == ["40 of 40", "4 of 4", "1 of 1"]
    assert page.evaluate("window.workbenchClock.sigma") == 0
    page.locator(".wb").focus()
    for key, step in (("Home", 0), ("ArrowRight", 1), ("ArrowRight", 2), ("ArrowLeft", 1), ("End", 40)):
        page.keyboard.press(key)
        painted(page)
        assert steps_shown(page)[0] == f"{step} of 40"
    page.locator(".wb-speed").select_option("40")
    page.locator(".wb").focus()
    page.keyboard.press("Space")
    page.wait_for_function("document.querySelector('tbody td').textContent === '40 of 40'", timeout=8000)
    page.wait_for_function("document.querySelector('.wb-play').textContent.includes('Play')")
    assert page.evaluate("said.filter((one) => one.kind !== 'ready' && one.kind !== 'seen')") == []


def test_other_views_move_it(page, mount):
    mount("player", prepared(points()))
    page.evaluate("window.workbenchClock.set({ sigma: 80 * 0.5 ** 7, sample: 7 })")
    painted(page)
    assert steps_shown(page)[0] == "20 of 40" and "sample 8 of 400 (mode 7)" in page.locator(".wb-legend").inner_text()


def test_every_way_to_draw_points_draws(page, mount):
    mount("player", prepared(points(200)))
    page.locator(".wb-slider").fill("20")
    plain = (painted(page), marks(page))[1]
    for name in ("paths", "velocity", "shown-x0", "shown-both", "density"):
        page.locator(f".wb-{name}").click()
        painted(page)
        assert marks(page)[0] != plain[0], name
        assert page.locator(f".wb-{name}").get_attribute("aria-pressed") == ("false" if name == "density" else "true")
    assert "longest arrow" in page.locator(".wb-legend").inner_text()
    page.locator(".wb-mode-over").click()
    assert len(marks(page)) == 1


def test_pointing_follows_clicking_keeps_escape_lets_go(page, mount):
    data = prepared(points(400))
    mount("player", data)
    page.locator(".wb-slider").fill("40")
    x, y = data["moments"][0]["models"][0]["states"][-1, 5]
    box = page.locator(".wb-canvas").first.bounding_box()
    side = box["width"] - 52
    place = {"x": 44 + float(x + 2.5) / 5 * side, "y": 8 + float(2.5 - y) / 5 * side}
    page.locator(".wb-canvas").first.hover(position=place)
    assert page.evaluate("window.workbenchClock.sample") is not None
    page.locator(".wb-canvas").first.click(position=place)
    kept = page.evaluate("window.workbenchClock.sample")
    page.mouse.move(5, 5)
    assert page.evaluate("window.workbenchClock.sample") == kept and "kept" in page.locator(".wb-legend").inner_text()
    page.keyboard.press("Escape")
    assert page.evaluate("window.workbenchClock.sample") is None


def test_images_page_and_follow(page, mount):
    mount("player", prepared(digits(100)))
    assert len(marks(page)) == 2 and min(marks(page)) > 1000
    page.locator(".wb-shown-both").click()
    painted(page)
    assert len(marks(page)) == 4
    empty = marks(page, ".wb-strip")
    page.locator(".wb-canvas").first.click(position={"x": 20, "y": 20})
    painted(page)
    assert page.evaluate("window.workbenchClock.sample") == 0 and marks(page, ".wb-strip") != empty
    page.locator(".wb-more").click()
    painted(page)
    assert "images 65–100 of 100" in page.locator(".wb-player").inner_text()


def test_training_steps_have_a_slider_of_their_own(page, mount):
    data = points(100)
    later = [{**model, "states": model["states"] * 0.8} for model in data["moments"][0]["models"]]
    data["moments"] = [{"step": 0, **data["moments"][0]}, {"step": 5000, "models": later}]
    data["moments"][0]["step"] = 0
    mount("player", prepared(data))
    page.locator(".wb-slider").fill("30")
    before = (painted(page), marks(page))[1]
    page.locator(".wb-moment").fill("1")
    painted(page)
    assert marks(page) != before and page.locator(".wb-moment-said").inner_text() == "5,000"
    assert steps_shown(page)[0] == "30 of 40"


def test_hostile_words_stay_words(page, mount):
    data = points(20) | {"title": HOSTILE, "notes": [HOSTILE], "labels": [HOSTILE] * 20}
    data["moments"][0]["models"][0]["name"] = HOSTILE
    mount("player", prepared(data))
    page.evaluate("window.workbenchClock.set({ sample: 3 })")
    painted(page)
    assert page.evaluate("window.hurt") is None and page.locator(".wb img, .wb script").count() == 0
    assert page.locator(".wb-title").inner_text() == HOSTILE


@pytest.mark.quiet
def test_it_is_quick_enough(page, mount):
    """At least 30 frames a second while scrubbing: 2,000 points x 50 steps x 2, 64 images of 32 x 32 x 50 steps x 2."""
    cloud = points(2000)
    cloud["moments"][0]["models"] = [{"name": name, "role": name, **ring(2000, 50)} for name in ("teacher", "student")]
    for data in (cloud, digits(64, (50, 50), 32)):
        mount("player", prepared(data))
        each = pace(page, "const slider = document.querySelector('.wb-slider'); slider.value = k;"
                          "slider.dispatchEvent(new Event('input'))")
        print(f"{data['kind']}: {each:.1f} ms a frame")
        assert each < 1000 / 30


def test_it_fits_another_width(page, mount):
    mount("player", prepared(points(50)))
    wide = page.locator(".wb-canvas").first.bounding_box()["width"]
    page.set_viewport_size({"width": 600, "height": 800})
    page.wait_for_function("(was) => document.querySelector('.wb-canvas').clientWidth < was", arg=wide)
    assert page.evaluate("document.documentElement.scrollWidth <= window.innerWidth")


def test_pixels_from_ten_thousand_points_on(page, mount):
    mount("player", prepared(points(12_000, labels=None)))
    page.locator(".wb-slider").fill("40")
    painted(page)
    assert min(marks(page)) > 3000


def test_it_opens_offline(page, tmp_path):
    (tmp_path / "view.html").write_text(standalone("player", prepared(points(50)), "Ring"), encoding="utf-8")
    page.goto((tmp_path / "view.html").as_uri())
    assert painted(page) >= 1 and min(marks(page)) > 500


@pytest.mark.parametrize("dark", [False, True])
@pytest.mark.parametrize("width", [600, 1000, 1200])
def test_nothing_sticks_out(page, mount, dark, width):
    page.set_viewport_size({"width": width, "height": 800})
    for name, data in (("points", points()), ("images", digits(200, channels=3 if dark else 1))):
        mount("player", prepared(data), dark=dark)
        page.evaluate("window.workbenchClock.set({ sigma: 1.5, sample: 9, pinned: true })")
        if name == "points":
            page.locator(".wb-paths").click()
            page.locator(".wb-velocity").click()
        painted(page)
        assert page.evaluate("document.documentElement.scrollWidth <= window.innerWidth")
        shot(page, f"player-{name}-{width}-{'dark' if dark else 'light'}")
