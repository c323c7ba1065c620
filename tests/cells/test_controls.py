"""A form made of a method's fields; what was changed in it goes into the training, what does not fit does not."""

import pytest

from workbench import cells as w
from workbench.cells.controls import control_of, form
from workbench.methods.fields import described


def test_elsewhere_than_on_a_page_the_fields_are_a_table(ring, capsys):
    settings = w.controls("consistency-distillation", ring, grid=9)
    out = capsys.readouterr().out
    assert "average" in out and "mu: decay of the target network" in out and "0 to 1" in out
    assert dict(settings) == {"grid": 9} and len(settings) == 1
    with pytest.raises(ValueError, match="did you mean 'grid'"):
        w.controls("consistency-distillation", ring, grd=9)


def test_controls_are_of_the_fields_kinds_and_hold_their_values(ring):
    settings = w.controls("consistency-distillation", ring)
    made = {row.children[0].description: row.children[0] for row in form(settings).children}
    assert {*made} == {told.name for told in described(settings.method)}
    assert made["lr"].value == settings.method.lr and made["distance"].options[0] in ("square", "huber", "pseudo_huber")


def test_a_change_is_taken_and_a_refusal_said(ring, tmp_path):
    settings = w.controls("consistency-distillation", ring)
    rows = {row.children[0].description: row.children for row in form(settings).children}
    control, note = rows["lr"]
    control.value = 5e-4
    assert dict(settings) == {"lr": 5e-4}
    control.value = -1.0
    assert dict(settings) == {"lr": 5e-4} and "greater than 0" in note.value
    control.value = settings.method.lr
    assert dict(settings) == {} and "greater" not in note.value
    student = w.distil("consistency-distillation", ring, steps=2, batch_size=64, folder=tmp_path / "run", **settings)
    assert student.trained.method.lr == settings.method.lr


def test_a_choice_offers_its_words(ring):
    told = next(one for one in described(w.controls("consistency-distillation", ring).method) if one.choices)
    assert control_of(told, told.value).options == told.choices
