"""The verbs return plain objects whose numbers are right, and leave their pictures in the run's folder."""

import json

import pytest
import torch

from workbench import cells as w
from workbench.benches import load
from workbench.cells.compare import table
from workbench.cells.losses import series, smooth
from workbench.cells.show import Table
from workbench.cells.walk import sigma_of


@pytest.fixture
def folder(tmp_path, monkeypatch):
    monkeypatch.setenv("WORKBENCH_RUN_FOLDER", str(tmp_path))
    return tmp_path / "figures"


def names(folder) -> list[str]:
    return sorted(path.name for path in folder.glob("*.png"))


def test_bench_shows_its_data(folder):
    assert w.bench("gmm2d").name == "gmm2d" and names(folder) == ["01-gmm2d-data.png"]
    assert (folder / "01-gmm2d-data.png").read_bytes()[:4] == b"\x89PNG"
    with pytest.raises(ValueError, match="did you mean 'gmm2d'"):
        w.bench("gmm2")


def test_distil_takes_fields_and_refuses_others(ring, student, tmp_path):
    assert (student.run.method.grid, student.run.step, student.run.seed) == (6, 40, 1)
    assert json.loads((student.run.folder / "run.json").read_text())["status"] == "finished"
    with pytest.raises(ValueError, match="did you mean 'grid'"):
        w.distil("consistency", ring, steps=2, folder=tmp_path / "a", gird=6)
    with pytest.raises(ValueError, match="did you mean 'dmd2'"):
        w.distil("dmd3", ring, steps=2, folder=tmp_path / "b")
    assert not (tmp_path / "a").exists() and not (tmp_path / "b").exists()


def test_distil_goes_on_from_its_folder(ring, student):
    again = w.distil("consistency", ring, steps=40, batch_size=64, seed=1, folder=student.run.folder, grid=6)
    for one, two in zip(student.net.parameters(), again.net.parameters(), strict=True):
        assert torch.equal(one, two)


def test_losses_are_the_recorded_ones(student, folder):
    lines = w.losses(student)["consistency"]
    averages = [f"student.average{i}: gap" for i in ("", "1")]
    assert [*lines] == ["student: consistency", "student: gradient norm", *averages]
    assert [step for step, _ in lines["student: consistency"]] == [*range(1, 41)]
    assert names(folder) == ["01-consistency-losses.png"]
    kept = json.loads((folder / "01-consistency-losses.json").read_text())
    assert kept["consistency"]["student: consistency"][0][1] == lines["student: consistency"][0][1]


def test_series_and_running_mean():
    events = [{"step": 3, "updates": [{"trains": ["critic", "judge"], "parts": {"fit": 2.0}, "grad_norm": None}]},
              {"step": 4, "updates": [{"trains": [], "parts": {"kept": 1.0}, "grad_norm": 0.0}]}]
    assert series(events) == {"critic, judge: fit": [(3, 2.0)], "memory: kept": [(4, 1.0)]}
    assert smooth([1.0, 3.0, 5.0, 7.0], 2) == [1.0, 2.0, 4.0, 6.0]


def test_walk_gives_every_frame_from_one_noise(teacher, student, folder):
    found = w.walk([teacher, student.at(2)], seed=4)
    assert [len(frames) for frames in found.values()] == [9, 3]
    noise, _ = teacher.bench.start(600, 4)
    for model, frames in zip((teacher, student), found.values(), strict=True):
        torch.testing.assert_close(frames[0].x_t, model.process.prior(noise))
        assert sigma_of(frames[0], model.process) == pytest.approx(teacher.bench.sigma_max, rel=1e-3)
    assert names(folder) == ["01-walk.png"] and "Content-Security-Policy" in (folder / "01-walk.html").read_text()


def test_a_lesson_is_sorted_from_noise_to_data(student, folder):
    seen = w.lesson(student)
    assert bool((seen["t"][1:] <= seen["t"][:-1]).all()) and seen["guess"].shape == (64, 2)
    with pytest.raises(ValueError, match="was not distilled"):
        w.lesson(w.teacher(student.bench, num_inference_steps=2))


def test_growth_walks_one_noise_at_every_kept_checkpoint(ring, folder, tmp_path):
    student = w.distil("consistency", ring, steps=40, batch_size=64, folder=tmp_path / "run", milestones=4)
    found = w.growth(student, seed=1)
    assert [*found] == [0, 10, 20, 30, 40]
    torch.testing.assert_close(found[40][-1].x_t, student.sample(*ring.start(600, 1), seed=1))
    assert not torch.equal(found[0][-1].x_t, found[40][-1].x_t)
    assert (folder / "02-growth.png").exists() and "moments" in (folder / "02-growth.html").read_text()


def test_compare_measures_what_it_says(teacher, student, folder):
    points = w.compare([teacher, student], num_inference_steps=(1, 2), n=256, seeds=2)
    assert [(p.model, p.num_inference_steps, p.evaluations) for p in points] == [
        ("teacher", 1, 1), ("teacher", 2, 3), ("teacher", 8, 15), ("consistency", 1, 1), ("consistency", 2, 2)]
    again = student.bench.measure(student.generate(2, 256, 1))
    assert points[-1].values["energy_distance"][1] == pytest.approx(again["energy_distance"])
    assert points[2].values["energy_distance"][0] < points[0].values["energy_distance"][0]
    said = table(points, ("energy_distance", "modes_hit"))
    assert len(said.rows) == 5 and said.rows[0][:3] == ["teacher", "1", "1"]
    assert json.loads((folder / "01-quality-and-diversity.json").read_text())[2]["evaluations"] == 15


def test_compare_refuses_what_is_not_measured(teacher, student):
    with pytest.raises(ValueError, match="does not measure fid; it has energy_distance"):
        w.compare(student, quality="fid")
    with pytest.raises(ValueError, match="two models have one name"):
        w.compare([student, student])
    with pytest.raises(ValueError, match="at least one model"):
        w.compare([])


def test_diagnose_tells_collapse_from_health(student, folder, monkeypatch):
    whole = {finding.what: finding for finding in w.diagnose(student, n=128)}
    assert whole["finite samples"].well and "student: gradient norm" in whole
    good = student.generate(n=128)
    monkeypatch.setattr(type(student), "generate", lambda self, **named: good._replace(x=good.x[:1].expand(128, 2)))
    assert not {f.what: f for f in w.diagnose(student, n=128)}["variety beside the data's"].well
    monkeypatch.setattr(type(student), "generate", lambda self, **named: good._replace(x=good.x * float("nan")))
    assert not {f.what: f for f in w.diagnose(student, n=128)}["finite samples"].well


def test_tables_say_the_same_as_text_and_as_html():
    said = Table(["model", "calls"], [["a<b", "1"], ["teacher", "63"]], "note")
    assert str(said) == "model    calls\na<b          1\nteacher     63\nnote"
    assert "<td>a&lt;b</td>" in said._repr_html_()


def test_pictures_are_drawn_as_pictures(folder):
    from workbench.cells.draw import comparable, limits, sheet
    from workbench.cells.style import canvas

    digits = load("digits")
    x = digits.data(0, 6).at(0).x
    assert limits(digits) == (float(digits.data(0, 256).at(0).x.min()), float(digits.data(0, 256).at(0).x.max()))
    figure, ((axis,),) = canvas(size=(2, 2))
    sheet(axis, x, 3, -1.0, 1.0)
    assert axis.images[0].get_array().shape == (2 * 9 - 1, 3 * 9 - 1)
    process = digits.process()
    t = torch.full((6,), 5.0)
    noisy = process.add_noise(x, t, torch.randn(x.shape, generator=torch.Generator().manual_seed(0)))
    assert float(comparable(noisy, t, process, digits.sigma_data).std()) == pytest.approx(digits.sigma_data, rel=0.15)
