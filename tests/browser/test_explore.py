"""Explore in a real JupyterLab: train, watch, steer, fork, reload, stop, come back after the kernel is gone."""

import json
import re
import time

import pytest

from tests.browser.lab import NOTEBOOK, until
from tests.browser.steered import Training, shot, trained


def at(book) -> int:
    return int(book.say("print(student.trained.step)"))


def test_a_training_is_watched_and_steered(book):
    book = book("steered")
    run = trained(book, controls=True)
    assert run.grows() >= 2 and run.grows() >= 3
    shot(book, "training-light")

    run.press("pause")
    state = run.becomes("paused")
    held = at(book)
    time.sleep(0.5)
    assert held == state["step"] == at(book)
    run.press("step")
    until(lambda: at(book) == held + 1, 10, "one step")
    time.sleep(0.5)
    assert at(book) == held + 1 and run.state["status"] == "paused"

    run.press("pause")  # it says "Resume" now
    run.becomes("running")
    run.grows("after resuming, the curve")

    run.panel.get_by_label("lr", exact=True).fill("0.001")
    run.panel.get_by_label("apply lr").click()
    change = until(lambda: run.events("change"), 10, "the change")[0]
    assert (change["name"], change["value"], change["before"]) == ("lr", 0.001, 0.004)
    later = until(lambda: [one for one in run.events("step") if one["step"] > change["step"] + 50], 20, "a later step")
    assert all(update["lr"] <= 0.001 for event in later for update in event["updates"] if update["trains"])
    until(lambda: "lr is 0.001 since step" in run.said(), 5, "word of the change")

    before = len(run.events("checkpoint"))
    run.press("save")
    saved = until(lambda: run.events("checkpoint")[before:], 10, "a checkpoint")[0]
    until(lambda: list((run.folder / "checkpoints").glob(f"{saved['step']:08d}.json")), 10, "its file")

    run.press("stop")
    ended = run.becomes("stopped")
    assert list((run.folder / "checkpoints").glob(f"{ended['step']:08d}.*"))
    assert at(book) == ended["step"]


def test_a_fork_runs_beside_it_and_a_reload_and_a_restart_lose_nothing(book):
    book = book("forked")
    run = trained(book)
    run.grows()
    run.press("fork")
    fork = Training(book, run.folder.with_name(run.folder.name + "-fork-1"), 1)
    until(lambda: fork.panel.count(), 20, "the fork's panel")
    firsts = [one.newest for one in (run, fork)]
    until(lambda: all(one.newest > first for one, first in zip((run, fork), firsts, strict=True)), 30, "steps of both")
    run.grows()
    assert book.page.locator(".wb-dashboard .wb-run").count() == 2
    field = run.panel.get_by_label("lr", exact=True)
    assert field.is_hidden()  # several forms would push the charts out of sight
    run.panel.locator(".wb-fold").click()
    until(field.is_visible, 5, "the fields")
    run.panel.locator(".wb-fold").click()
    shot(book, "fork-light")
    book.theme("JupyterLab Dark")
    shot(book, "fork-dark")
    book.theme("JupyterLab Light")

    book.save()
    book.page.reload()
    book.settled()
    run.board.wait_for(timeout=20_000)
    run.grows("after the reload, the curve")
    assert book.page.locator(".wb-panel").count() == 2 and "running" in run.said() and "running" in fork.said()

    for one in (run, fork):
        one.press("stop")
    for one in (run, fork):
        state = one.becomes("stopped")
        assert list((one.folder / "checkpoints").glob(f"{state['step']:08d}.*"))

    book.page.evaluate(f"{NOTEBOOK}.sessionContext.session.kernel.restart()")
    book.settled()
    folder = f"runs/{run.folder.name}"
    book.say(f"from workbench import cells as w\nw.watch({folder!r})")
    again = Training(book, run.folder)
    again.panel, again.board = book.page.locator(".wb-panel").last, book.page.locator(".wb-dashboard").last
    again.becomes("stopped")
    until(lambda: again.rows() >= len(run.events("step")) - 1, 20, "every reading of the old run")
    assert f"step {run.state['step']:,} of 100,000" in again.said()


@pytest.mark.parametrize("kernel", ["installed", "6.31"], indirect=True)
def test_a_kernel_that_goes_stops_and_saves_its_training(book, kernel):
    book = book(f"kernel-{kernel}", kernelspec={"name": kernel, "display_name": kernel, "language": "python"})
    version = book.say("import ipykernel; print(ipykernel.__version__)").strip()
    assert version.startswith("6.31" if "6.31" in kernel else "7")
    run = trained(book)
    run.grows()
    run.press("pause")
    run.becomes("paused")
    run.press("pause")
    run.becomes("running")
    run.grows()
    book.page.evaluate(f"{NOTEBOOK}.sessionContext.session.kernel.restart()")
    state = until(lambda: run.state if run.state["status"] == "stopped" else None, 15, "the end of the training")
    assert list((run.folder / "checkpoints").glob(f"{state['step']:08d}.*"))
    print(f"ipykernel {version}: stopped and saved at step {state['step']} as its kernel was restarted")


@pytest.mark.parametrize("kernel", ["installed", "6.31"], indirect=True)
def test_the_picture_is_brought_up_to_date_when_training_ends(book, kernel):
    book = book(f"still-{kernel}", kernelspec={"name": kernel, "display_name": kernel, "language": "python"})
    run = trained(book, controls=True, steps=600)
    first = book.outputs(8)[-1]["data"]["image/png"]
    run.becomes("finished", 60)
    until(lambda: book.outputs(8)[-1]["data"]["image/png"] != first, 15, "the new picture")
    shown = book.cell(8).query_selector(".jp-RenderedImage")
    assert shown is not None and not shown.is_visible()  # its twin lives
    assert not book.cell(6).query_selector("table").is_visible()

    saved = book.save()
    assert "widgets" not in saved["metadata"] and "model_id" in json.dumps(saved["cells"][8])
    assert re.search('"image/png": "[A-Za-z0-9+/]{1000}', json.dumps(saved["cells"][8]))
    book.forget()
    book.open("doc", kernel=False)
    time.sleep(2)  # Lab looks for the widgets' models, which are gone
    book.go(8)
    time.sleep(1)
    shot(book, f"without-kernel-{kernel}")
    assert book.cell(8).query_selector(".jp-RenderedImage img").is_visible() and book.page.locator(".wb").count() == 0
    assert book.cell(6).query_selector("table").is_visible()  # the fields as they were
    assert not book.page.get_by_text("Error displaying widget").first.is_visible()


def test_the_panel_counts_single_steps(book):
    book = book("counted")
    run = trained(book)
    run.press("pause")
    held = run.becomes("paused")["step"]
    run.press("step")
    until(lambda: f"step {held + 1:,}" in run.said(), 5, "the panel's one step more")
    assert "asked" not in run.said()


def test_a_folder_that_goes_away_is_told_and_what_was_seen_stays(book):
    book = book("renamed")
    run = trained(book, steps=300)
    run.becomes("finished", 30)
    rows = run.rows()
    assert rows > 5
    run.folder.rename(run.folder.with_name("elsewhere"))
    until(lambda: "is not a run folder" in run.said(), 10, "word of the folder")
    assert run.rows() == rows and "finished" in run.said() and "step 300 of 300" in run.said()
    run.panel.locator(".wb-fork").click()
    until(lambda: "fork: " in run.said(), 10, "a fork's refusal")
    run.folder.with_name("elsewhere").rename(run.folder)
    until(lambda: "is not a run folder" not in run.said(), 10, "the folder again")
    assert run.rows() == rows
