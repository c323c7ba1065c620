"""The player and the inspector in a real JupyterLab: scrubbed, played, branched, all on one clock, light and dark."""

import time

from tests.browser.lab import until
from tests.browser.steered import GROWTH, TARGETS, WALK, shot, trained


def paints(view) -> int:
    return int(view.get_attribute("data-painted") or 0)


def scrub(view, to: int) -> None:
    view.locator(".wb-slider").evaluate("""(slider, to) => {
        slider.value = to; slider.dispatchEvent(new Event("input", { bubbles: true })); }""", to)


def where(view) -> int:
    return int(view.locator(".wb-slider").input_value())


def test_player_and_inspector(book):
    book = book("views")
    run = trained(book, steps=1500)
    book.run(WALK)  # while it trains
    book.run(TARGETS)
    run.becomes("finished", 60)
    book.run(GROWTH)
    player, grown = book.page.locator(".wb-player").first, book.page.locator(".wb-player").last
    inspector = book.page.locator(".wb-inspector")
    for view in (player, grown, inspector):
        until(lambda view=view: paints(view) > 0, 20, "a first paint")

    book.go(WALK)
    before, others = paints(player), paints(inspector)
    for step in (4, 9, 14):
        scrub(player, step)
        until(lambda before=before: paints(player) > before, 5, "a paint")
        before = paints(player)
    assert "14 of 16" in player.inner_text()
    until(lambda: paints(inspector) > others, 5, "the inspector to follow the clock")

    scrub(player, 0)
    player.locator(".wb-play").click()
    until(lambda: where(player) > 5, 5, "a play that goes on")
    player.locator(".wb-play").click()
    time.sleep(0.2)  # the frame that was on its way
    held = where(player)
    time.sleep(0.4)
    assert where(player) == held < 16
    player.focus()
    book.page.keyboard.press("End")
    until(lambda: where(player) == 16, 5, "the end")
    cells = book.count()
    for key in "ddxab":  # Lab would delete, cut and add cells
        book.page.keyboard.press(key)
    assert book.count() == cells

    rows = inspector.locator("tbody tr").count()
    book.go(TARGETS)
    inspector.locator("td").nth(2).click()
    inspector.focus()
    book.page.keyboard.press("ArrowRight")
    until(lambda: "step\n4 of 10" in inspector.locator(".wb-facts").inner_text(), 5, "the fourth step")
    inspector.locator(".wb-branch").click()
    until(lambda: inspector.locator("tbody tr").count() > rows, 20, "the branched row")
    assert "then consistency-distillation" in inspector.inner_text()

    for theme in ("Light", "Dark"):
        book.theme(f"JupyterLab {theme}")
        for cell, name in ((WALK, "player"), (TARGETS, "inspector"), (GROWTH, "growth")):
            book.go(cell)
            time.sleep(0.3)
            shot(book, f"{name}-{theme.lower()}")
