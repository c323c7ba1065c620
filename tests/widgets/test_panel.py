"""The run panel: fields are checked in Python; commands, waiting, staleness and limits work in a real page."""

import os
import time

import pytest

from widgets.panel import Panel, changed
from widgets.view import standalone

HOSTILE = "<img src=x onerror=\"window.harmed = 1\"><script>window.harmed = 1</script>"
FIELDS = [
    {"name": "learning rate", "kind": "float", "value": 1e-4, "low": 1e-6, "high": 0.01, "doc": "of the student"},
    {"name": "critic steps", "kind": "int", "value": 5, "low": 1, "high": 50, "doc": "updates per student update"},
    {"name": "adversarial", "kind": "bool", "value": False, "doc": "add the discriminator's loss"},
    {"name": "loss", "kind": "choice", "value": "l2", "choices": ["l2", "huber", "lpips"], "doc": "distance of parts"},
]
RUN = {"name": "dmd2 on digits", "folder": "runs/2026-11-21-dmd2-digits", "status": "running", "step": 1200,
       "steps": 4000, "rate": 12.5, "eta": 224.0, "fields": FIELDS, "checkpoints": [200, 400, 1200],
       "message": "training", "can": ["stop", "pause", "step", "save", "fork", "change"]}


def test_updates_are_merged_and_now_is_filled_in():
    panel = Panel(**RUN, beat=time.time())
    panel.update(step=1201, status="paused", values={"learning rate": 5e-5})
    whole = panel.whole()
    assert (whole["step"], whole["status"], whole["fields"][0]["value"]) == (1201, "paused", 5e-5)
    assert abs(whole["now"] - time.time()) < 1
    panel.update(now=500.0, beat=490.0)
    assert panel.whole()["now"] == pytest.approx(500, abs=1)


@pytest.mark.parametrize(("wrong", "says"), [
    ({"status": "bored"}, "status must be one of running"), ({"can": ["explode"]}, "can must be among stop"),
    ({"step": float("nan")}, "step must be a number"), ({"rate": "fast"}, "rate must be a finite number, or None"),
    ({"colour": "red"}, "a panel has no colour"), ({"values": {"momentum": 1}}, r"no fields \['momentum'\]"),
    ({"values": {"learning rate": 1.0}}, "kind float, from 1e-06 to 0.01"),
    ({"values": {"critic steps": 2.5}}, "kind int"), ({"values": {"loss": "l3"}}, "not among its choices"),
    ({"values": {"adversarial": 1}}, "True or False"),
    ({"fields": [{"name": "a", "kind": "text"}]}, "a kind that is one of float"),
])
def test_wrong_updates_are_refused(wrong, says):
    panel = Panel(**RUN)
    before = dict(panel.data)
    with pytest.raises(ValueError, match=says):
        panel.update(**wrong)
    assert {**panel.data, "now": 0} == {**before, "now": 0}


def test_many_checkpoints_are_cut_to_the_newest():
    whole = Panel(**{**RUN, "checkpoints": range(1000)}).whole()
    assert whole["checkpoints"][0] == 800 and whole["notes"] == ["the newest 200 of 1000 checkpoints are offered"]


@pytest.fixture
def panel(mount, page):
    page.tell = mount("panel", Panel(**RUN).whole())
    frame(page)
    return page


def frame(page):
    page.evaluate("new Promise((done) => requestAnimationFrame(() => requestAnimationFrame(done)))")


def told(page):
    """Events so far, their times checked and taken off."""
    events = page.evaluate("window.said.filter((one) => one.kind === 'event').map((one) => one.data)")
    assert all(abs(event.pop("at") / 1000 - time.time()) < 60 for event in events)
    return events


def update(page, **some):
    page.tell("append", {"rows": [changed(some, Panel(**RUN).data)]})
    frame(page)


def test_it_shows_the_run(panel):
    text = panel.locator(".wb").inner_text()
    for said in ("dmd2 on digits", "runs/2026-11-21", "● running", "step 1,200 of 4,000 (30 %)", "12.5 steps/s",
                 "3 min 44 s left", "training", "of the student (1e-6 to 0.01)"):
        assert said in text
    assert panel.locator(".wb-bar").evaluate("(one) => one.value") == pytest.approx(0.3)
    assert panel.locator(".wb-stale").text_content() == ""


def test_commands_are_told_and_wait_for_an_answer(panel):
    panel.locator(".wb-pause").click()
    frame(panel)
    assert told(panel) == [{"event": "pause"}] and panel.locator(".wb-pause").text_content() == "Pause · asked"
    update(panel, step=1201)
    assert panel.locator(".wb-pause").text_content() == "Pause · asked"  # a step is no pause
    update(panel, status="paused", message="paused at step 1201")
    assert "Resume" in panel.locator(".wb-pause").text_content()
    for command in ("step", "save", "pause", "stop"):
        panel.locator(f".wb-{command}").click()
    assert [event["event"] for event in told(panel)] == ["pause", "step", "save", "resume", "stop"]
    update(panel, step=1202, checkpoints=[200, 400, 1200, 1202])
    assert panel.locator(".wb-asked").all_text_contents() == ["Stop · asked", "Resume · asked"]  # still
    update(panel, status="stopped", message="stopped by you")
    assert panel.locator(".wb-asked").count() == 0 and panel.locator(".wb-stop").is_disabled()


def test_forking_from_here_or_a_checkpoint(panel):
    assert panel.locator(".wb-from option").all_text_contents() == [
        "from here (step 1,200)", "from checkpoint 1,200", "from checkpoint 400", "from checkpoint 200"]
    panel.locator(".wb-fork").click()
    panel.locator(".wb-from").select_option("400")
    update(panel, checkpoints=[200, 400, 1200, 1400], step=1400)
    panel.locator(".wb-fork").click()
    assert told(panel) == [{"event": "fork", "checkpoint": None}, {"event": "fork", "checkpoint": 400}]


def test_only_what_can_be_done_is_offered(panel):
    assert panel.locator(".wb-step").is_disabled()  # running: pause first
    update(panel, can=["stop"])
    assert panel.locator(".wb-stop").is_enabled()
    for command in ("pause", "save", "fork"):
        assert panel.locator(f".wb-{command}").is_disabled()
    assert panel.locator(".wb-input").first.is_disabled()


def test_fields_are_told_when_they_are_right(panel):
    inputs, apply = panel.locator(".wb-input"), panel.locator(".wb-apply")
    assert apply.nth(0).is_disabled()
    inputs.nth(0).fill("5e-5")
    assert panel.locator(".wb-now").nth(0).text_content() == "now 1e-4"
    inputs.nth(0).press("Enter")
    frame(panel)
    assert apply.nth(0).text_content() == "asked"
    inputs.nth(1).fill("7")
    apply.nth(1).click()
    inputs.nth(2).check()
    apply.nth(2).click()
    inputs.nth(3).select_option("huber")
    apply.nth(3).click()
    assert told(panel) == [{"event": "change", "name": name, "value": value} for name, value in (
        ("learning rate", 5e-5), ("critic steps", 7), ("adversarial", True), ("loss", "huber"))]
    update(panel, fields=[{**FIELDS[0], "value": 5e-5}, *FIELDS[1:]])
    assert apply.nth(0).text_content() == "Apply" and apply.nth(1).text_content() == "asked"
    assert panel.locator(".wb-now").nth(0).text_content() == ""


@pytest.mark.parametrize(("which", "text", "says"), [
    (0, "1", "must be a number, 1e-6 to 0.01"), (0, "", "must be a number"),
    (1, "2.5", "must be a whole number, 1 to 50"), (1, "0", "1 to 50"),
])
def test_what_is_out_of_range_is_not_told(panel, which, text, says):
    panel.locator(".wb-input").nth(which).fill(text)
    panel.locator(".wb-apply").nth(which).click()
    assert says in panel.locator(".wb-wrong").nth(which).text_content() and told(panel) == []


def test_typing_survives_updates(panel):
    field = panel.locator(".wb-input").nth(0)
    field.fill("3e-4")
    update(panel, step=1300, fields=[{**FIELDS[0], "value": 2e-4}, {**FIELDS[1], "value": 9}, *FIELDS[2:]])
    assert field.input_value() == "3e-4" and panel.locator(".wb-now").nth(0).text_content() == "now 2e-4"
    assert panel.locator(".wb-input").nth(1).input_value() == "9"


def test_a_silent_run_is_called_so_by_the_page_alone(panel):
    update(panel, beat=1000.0, now=1002.0, stale_after=3.0)
    assert panel.locator(".wb-stale").text_content() == ""
    panel.wait_for_function("document.querySelector('.wb-stale').textContent === 'no heartbeat for 3 s'", timeout=5000)
    update(panel, beat=1004.0, now=1004.5)
    assert panel.locator(".wb-stale").text_content() == ""
    update(panel, beat=1004.0, now=1900.0, status="finished")
    assert panel.locator(".wb-stale").text_content() == ""  # what is done need not beat


def test_hostile_text_is_text(mount, page):
    fields = [{"name": HOSTILE, "kind": "choice", "value": HOSTILE, "choices": [HOSTILE], "doc": HOSTILE}]
    data = Panel(**{**RUN, "name": HOSTILE, "folder": HOSTILE, "message": HOSTILE, "fields": fields}).whole()
    mount("panel", data)
    frame(page)
    assert page.evaluate("window.harmed") is None and page.locator("#view img, #view script").count() == 0
    assert page.locator(".wb-message").text_content() == HOSTILE


def test_a_page_of_its_own_has_no_buttons(page):
    page.set_content(standalone("panel", Panel(**RUN, beat=1000.0, now=1100.0).whole(), "alone"))
    page.wait_for_function("document.querySelector('.wb')?.dataset.painted === '1'")
    assert page.locator("button, input, select").count() == 0 and "1e-4" in page.locator(".wb-form").inner_text()
    assert page.locator(".wb-stale").text_content() == "no heartbeat for 1 min 40 s"


@pytest.mark.parametrize("dark", [False, True], ids=["light", "dark"])
def test_a_picture(mount, page, dark):
    more = {"status": "paused", "message": "paused at step 1200", "beat": 1000.0, "now": 1042.0} if dark else {}
    mount("panel", Panel(**{**RUN, **more}).whole(), dark)
    page.locator(".wb-input").nth(1).fill("99")
    page.locator(".wb-apply").nth(1).click()
    page.locator(".wb-save").click()
    frame(page)
    assert page.locator(".wb-wrong").nth(1).text_content() == "must be a whole number, 1 to 50"
    if os.environ.get("WORKBENCH_SHOTS"):
        page.screenshot(path=f"/tmp/shots/panel-{'dark' if dark else 'light'}.png")
        page.set_viewport_size({"width": 600, "height": 800})
        frame(page)
        page.screenshot(path=f"/tmp/shots/panel-{'dark' if dark else 'light'}-600.png")
