"""The inspector's numbers are right: against the analytic posterior, and against direct sums over samples."""

import json
from itertools import combinations

import pytest
import torch

from workbench import cells as w
from workbench.benches import load
from workbench.cells.hybrid import hybrid, level
from workbench.cells.targets import asked, diversity


def by_hand(x0, end, cond):
    """distance to the end, change, diversity of predictions [N][B, ...], by loops over samples."""
    far = [float((x - end).double().pow(2).mean().sqrt()) for x in x0]
    change = [float((b - a).double().pow(2).mean().sqrt()) for a, b in zip(x0, x0[1:], strict=False)]
    spread = []
    for x in x0:
        pairs = [(i, j) for i, j in combinations(range(len(x)), 2) if cond is None or cond[i] == cond[j]]
        i, j = map(list, zip(*pairs, strict=True))
        spread.append(float((x[i] - x[j]).double().pow(2).flatten(1).mean(1).mean().sqrt()))
    return far, change, spread


def same(found, x0, end, cond):
    far, change, spread = by_hand(x0, end, cond)
    assert found.to_end.tolist() == pytest.approx(far, abs=1e-6)
    assert found.change[1:].tolist() == pytest.approx(change, abs=1e-6) and found.change[0] != found.change[0]
    assert found.diversity.tolist() == pytest.approx(spread, abs=1e-6)


def test_on_the_ring_they_equal_direct_sums(teacher, student):
    found = w.targets(teacher, student, num_inference_steps=6, samples=40, seed=2)
    noise, cond = teacher.bench.start(40, 2)
    frames = teacher.frames(noise, cond, 6, 2)
    for model in (teacher, student):
        x0 = [asked(model, frame, teacher, cond) for frame in frames[:-1]]
        same(found[model.name], x0, frames[-1].x_t, cond)
    assert [*found] == ["teacher", "consistency"] and found["teacher"].to_end[-1] < 0.1 * found["teacher"].to_end[0]


def test_on_digits_they_equal_direct_sums_within_labels():
    digits = load("digits", widths=(8, 8))
    net = digits.fresh(3).eval()
    from workbench.cells.model import Model
    from workbench.solvers import SOLVERS, Sampler

    model = Model("untrained", digits, net, Sampler(SOLVERS["heun"](), "karras", 4))
    found = w.targets(model, num_inference_steps=4, samples=30, seed=1)
    noise, cond = digits.start(30, 1)
    frames = model.frames(noise, cond, 4, 1)
    same(found["untrained"], [frame.x0 for frame in frames[:-1]], frames[-1].x_t, cond)


def test_the_analytic_teacher_says_the_posterior_mean(teacher):
    """E[x0 | x_t] by the definition: components weighed by their posterior, each with its own conditional mean."""
    found = w.targets(teacher, num_inference_steps=5, samples=50, seed=3)["teacher"]
    noise, cond = teacher.bench.start(50, 3)
    truth = teacher.bench.truth
    for frame, x0 in zip(teacher.frames(noise, cond, 5, 3), found.x0, strict=False):
        x, t = frame.x_t.double(), frame.t.double()
        table = truth.tables(torch.float64)
        weights = truth.posterior(x, t)
        variance = table.variance.reshape(-1)[:1]
        share = (variance / (variance + t**2))[:, None, None]
        means = table.means[None] + share * (x[:, None] - table.means[None])
        torch.testing.assert_close((weights[..., None] * means).sum(1).float(), x0, atol=1e-5, rtol=1e-5)


def test_diversity_by_hand():
    x = torch.tensor([[0.0, 0.0], [3.0, 4.0], [0.0, 0.0]])
    assert float(diversity(x, None)) == pytest.approx((2 * 25 / 2 / 3) ** 0.5)
    assert float(diversity(x, torch.tensor([0, 0, 1]))) == pytest.approx((25 / 2) ** 0.5)
    assert torch.isnan(diversity(x, torch.tensor([0, 1, 2])))


def test_own_paths_have_their_own_steps(teacher, student):
    found = w.targets(teacher, student.at(3), num_inference_steps=6, path="own", samples=20, seed=2)
    assert len(found["teacher"].sigma) == 6 and len(found["consistency"].sigma) == 3
    torch.testing.assert_close(found["consistency"].end, student.sample(*teacher.bench.start(20, 2), 3, seed=2))
    with pytest.raises(ValueError, match="teacher, own"):
        w.targets(teacher, student, path="theirs")


def test_a_job_keeps_the_still_the_numbers_and_a_page(teacher, student, tmp_path, monkeypatch):
    monkeypatch.setenv("WORKBENCH_RUN_FOLDER", str(tmp_path))
    found = w.targets(teacher, student, num_inference_steps=4, samples=20)
    told = json.loads((tmp_path / "figures/01-x0-predictions.json").read_text())
    assert told["teacher"]["to_end"] == found["teacher"].to_end.tolist()
    assert (tmp_path / "figures/01-x0-predictions.png").exists()
    assert (tmp_path / "figures/01-x0-predictions.html").stat().st_size < 1_000_000


def test_a_hybrid_of_a_model_with_itself_is_the_model(student):
    noise, cond = student.bench.start(30, 5)
    alone = student.at(4).frames(noise, cond, seed=7)
    both = hybrid(student.at(4), student.at(4), 1).frames(noise, cond, seed=7)
    assert [frame.step for frame in both] == [0, 1, 2, 3, 4]
    assert both[-1].evaluations == alone[-1].evaluations == 4
    torch.testing.assert_close(both[1].x_t, alone[1].x_t, atol=1e-6, rtol=1e-6)
    torch.testing.assert_close(both[-1].x_t, alone[-1].x_t, atol=1e-5, rtol=1e-5)


def test_a_hybrid_begins_as_the_first_and_hands_over_at_the_students_level(teacher, student):
    noise, cond = teacher.bench.start(30, 5)
    few = student.at(4)
    grid = few.sampler.grid(few.process)
    both = hybrid(teacher, few, 2).frames(noise, cond, seed=7)
    handed = next(i for i, frame in enumerate(both) if abs(level(few, frame.t[0]) / level(few, grid[2]) - 1) < 1e-4)
    assert len(both) - 1 - handed == 2  # the student's last two steps
    assert all(level(few, a.t[0]) > level(few, b.t[0]) for a, b in zip(both, both[1:], strict=False))
    whole = hybrid(teacher, few, 0).frames(noise, cond, seed=7)
    torch.testing.assert_close(whole[-1].x_t, few.frames(noise, cond, seed=7)[-1].x_t)
    end = hybrid(teacher, few, 4).frames(noise, cond, seed=7)[-1]
    torch.testing.assert_close(end.x_t, teacher.frames(noise, cond, seed=7)[-1].x_t, atol=2e-4, rtol=1e-3)
    with pytest.raises(ValueError, match="switch must be 0 to 4"):
        hybrid(teacher, few, 5).frames(noise, cond)
