import json
from dataclasses import dataclass, replace

import pytest

from workbench.benches import load
from workbench.benches.assemble import born
from workbench.benches.bench import Budget
from workbench.methods.guidance.guidance_distillation import GuidanceDistillation
from workbench.methods.score.dmd2 import Dmd2
from workbench.methods.steps.progressive import ProgressiveDistillation
from workbench.methods.steps.reflow import Reflow
from workbench.noise import Edm, Process
from workbench.papers import catalogue, comparison, contest
from workbench.papers.compare import compare
from workbench.papers.record import parse
from workbench.papers.validate import build_method
from workbench.solvers import Consistency, Euler, Sampler
from workbench.train.loop import train
from workbench.types import Act, Loss, Update

SMALL = {"samples": 64, "width": 16}
BUDGET = Budget(teacher_calls=640, batch_size=8)
ENTERED = """
[benches.gmm2d]
start_steps = 4
"""
PROGRESSIVE = 'method = "steps.progressive:ProgressiveDistillation"\nsettings = { start_steps = 8 }\n'


@pytest.fixture
def entered(folder, runs):
    """Two papers on gmm2d (consistency, and progressive from 4 steps), and one that waits."""
    head = runs.partition("method =")[0]
    (folder / "runs.toml").write_text(runs + "\n[benches.gmm2d]\n", encoding="utf-8")
    (folder / "halves.toml").write_text(head.replace("A Paper", "Halves") + PROGRESSIVE + ENTERED, encoding="utf-8")
    return folder


def small(folder, **options):
    usual = {"seeds": 2, "jobs": 1, "bench_settings": SMALL, "budget": BUDGET, "folder": folder}
    return compare("gmm2d", **{**usual, **options})


def imagined(task):
    """Figures without an engine: seed + 1 at one step."""
    figures = {"energy_distance": task.seed + 1.0, "mode_p": None if task.seed else 0.5}
    point = {"num_inference_steps": 1, "solver": "Euler", "evaluations": 1, "figures": figures, "steps": task.steps,
             "seconds": 2.0, "teacher_calls": 640}
    return {"points": [point], "note": ""}


def test_every_method_beside_the_teacher_through_the_engine(entered):
    found = small(entered, jobs=2)
    asked = {(row.label, row.steps): row for row in comparison.rows(found)}
    teacher = [("teacher, Euler", n) for n in (1, 2, 4, 8)] + [("teacher, Heun", n) for n in (2, 4, 8, 40)]
    assert set(asked) == {*teacher, *((slug, n) for slug in ("runs", "halves") for n in (1, 2, 4))}
    assert asked["teacher, Heun", 40].evaluations == 79 and asked["runs", 4].evaluations == 4
    assert all(row.seeds == 2 and set(row.values) == set(found["metrics"]) for row in asked.values())
    # Consistency asks Heun's two calls a sample: 40 steps of 8. Progressive: 80 steps in three acts, 4 then 2 then 1.
    assert [asked["runs", n].training_steps for n in (1, 2, 4)] == [40] * 3
    assert [asked["halves", n].training_steps for n in (4, 2, 1)] == sorted(asked["halves", n].training_steps
                                                                           for n in (1, 2, 4))
    assert max(row.teacher_calls for row in asked.values()) <= 640
    again = small(entered, jobs=1)
    assert again == found  # nothing is measured twice
    comparison.path("gmm2d", entered).unlink()
    figures = [[point["figures"] for point in entry["points"]] for entry in small(entered, jobs=1)["entries"]]
    assert figures == [[point["figures"] for point in entry["points"]] for entry in found["entries"]]


def test_what_was_finished_is_kept_and_reused(entered, capsys):
    done = []

    def third_is_interrupted(task):
        if len(done) == 2:
            raise KeyboardInterrupt
        done.append((task.slug, task.seed))
        return imagined(task)

    def counted(task):
        done.append((task.slug, task.seed))
        return imagined(task)

    with pytest.raises(KeyboardInterrupt):
        small(entered, run=third_is_interrupted)
    assert len(comparison.read("gmm2d", entered)["entries"]) == 2
    found = small(entered, run=counted)
    assert sorted(done) == sorted({(slug, seed) for slug in ("teacher", "runs", "halves") for seed in (0, 1)})
    assert found["seeds"] == [0, 1] and "2 of 6 were measured before" in capsys.readouterr().err
    assert [path.name for path in (entered / "comparisons").iterdir()] == ["gmm2d.json"]

    path = entered / "halves.toml"
    path.write_text(path.read_text().replace('title = "Halves"', 'title = "Halved"'))
    small(entered, run=counted)
    assert len(done) == 6  # words are not measured
    path.write_text(path.read_text() + "lr = 0.01\n")
    found = small(entered, run=counted, only=["halves"])
    assert done[6:] == [("halves", 0), ("halves", 1)]  # the teacher and the other paper still count
    assert {entry["slug"] for entry in found["entries"]} == {"halves", "teacher"}
    small(entered, run=counted)
    assert len(done) == 8
    small(entered, run=counted, budget=replace(BUDGET, teacher_calls=320))
    assert len(done) == 14


def test_a_record_edited_meanwhile_is_measured_again(entered):
    path = entered / "halves.toml"

    def editing(task):
        if task.slug == "halves" and "lr" not in path.read_text():
            path.write_text(path.read_text() + "lr = 0.01\n")
        return imagined(task)

    found = small(entered, seeds=1, run=editing)
    assert {entry["slug"] for entry in found["entries"]} == {"teacher", "runs"}
    found = small(entered, seeds=1, run=editing)
    assert next(entry for entry in found["entries"] if entry["slug"] == "halves")["settings"]["lr"] == 0.01


def test_the_table_to_read_and_the_readmes(entered):
    assert comparison.markdown("gmm2d", entered) == "Not measured yet: `workbench compare gmm2d`."
    found = small(entered, run=imagined)
    lines = comparison.lines(found)
    assert lines[0].split()[:5] == ["method", "steps", "NFE", "energy", "distance"]
    assert [line.split("  ")[0] for line in lines[1:-1]] == ["teacher, Euler", "halves", "runs"]
    assert "1.5 [1, 2]" in lines[2] and "no value in 1 of 2" in lines[2]
    assert lines[-1].startswith("Mean [lowest, highest] over seeds 0, 1. Every student had at most 640 teacher calls")
    text = comparison.markdown("gmm2d", entered)
    assert "| runs | 1 | 1 | 1.5<br>[1, 2] |" in text and "| 2 | 40 | 6.4e+02 |" in text
    small(entered, seeds=3, only=["halves"], run=imagined)
    assert "| runs (2 of 3 seeds) | 1 |" in comparison.markdown("gmm2d", entered)
    (entered / "runs.toml").unlink()
    assert "runs" not in comparison.markdown("gmm2d", entered)  # a figure of no record is not shown


@pytest.mark.parametrize("bench, only, old, new, word", [
    ("gmm3d", (), "", "", "no bench called 'gmm3d'; did you mean 'gmm"),
    ("digit_classes", (), "", "", "digit_classes has nothing to sample"),
    ("gmmd", (), "", "", r"no paper is entered for gmmd: .* \[benches.gmmd\]"),
    ("gmm2d", ("halfs",), "", "", "did you mean 'halves'"),
    ("gmm2d", ("waits",), "", "", "waits is not entered for gmm2d"),
    ("gmm2d", (), "start_steps = 4", "start_step = 4", "halves on gmm2d: .*did you mean 'start_steps'"),
    ("gmm2d", (), "start_steps = 4", "start_steps = 16\nend_steps = 8", "trained for none of 1, 2, 4 steps"),
    ("gmm2d", (), "steps.progressive:ProgressiveDistillation", "guidance.guidance_distillation:GuidanceDistillation",
     "halves on gmm2d: GuidanceDistillation needs a bench with labels"),
])
def test_faults_are_found_before_anything_runs(entered, bench, only, old, new, word):
    path = entered / "halves.toml"
    path.write_text(path.read_text().replace(old, new) if old else path.read_text())
    with pytest.raises(ValueError, match=word):
        compare(bench, only=only, bench_settings=SMALL if bench == "gmm2d" else {}, budget=BUDGET, folder=entered,
                run=lambda task: pytest.fail("trained"))


def test_a_record_names_benches_that_exist(runs):
    import tomllib

    with pytest.raises(ValueError, match="benches: unknown bench 'gmm2'; did you mean 'gmm2d'"):
        parse(tomllib.loads(runs + "\n[benches.gmm2]\n"))
    plain, entered = tomllib.loads(runs), tomllib.loads(runs + "\n[benches.gmm2d]\nlr = 0.1\n")
    assert catalogue.fingerprint(plain) == catalogue.fingerprint(entered)  # evidence does not depend on it
    assert parse(entered).benches == {"gmm2d": {"lr": 0.1}}


def test_every_record_entered_for_a_bench_builds_there():
    for bench in ("gmm2d", "digits"):
        for data in comparison.entrants(bench).values():
            assert hasattr(build_method(data["method"], comparison.settings(data, bench)), "sampler")


def admitted(sampler):
    return [count for count in (1, 2, 3, 4, 8) if sampler.admits(count)]


def test_a_sampler_says_which_counts_its_student_knows():
    assert admitted(Sampler(Euler(), "uniform", 4)) == [1, 2, 3, 4, 8]
    assert admitted(Sampler(Euler(), "uniform", 4, only=True)) == [4]
    assert admitted(Sampler(Consistency(), "trig", 4, only=True)) == [1, 2, 4]
    assert admitted(Sampler(Consistency(), "karras", 4, only=True)) == [4]  # its levels are not nested
    assert admitted(Sampler(Consistency(), "trig", times=(5.0, 1.0, 0.0), only=True)) == [2]
    assert not Sampler(Euler(), "uniform", 4).admits(0) and not Sampler(Consistency(), "trig", 4, only=True).admits(0)


def test_a_divisor_walks_levels_that_the_student_knows():
    process = Edm(0.002, 10.0, 0.7)
    for spacing in ("trig", "uniform"):
        own, short = (Sampler(Consistency(), spacing, 4, only=True).grid(process, count) for count in (4, 2))
        assert short.tolist() == pytest.approx(own[::2].tolist(), rel=1e-5)


@pytest.mark.parametrize("method, plan", [
    (ProgressiveDistillation(start_steps=8), {4: "4 steps", 2: "2 steps", 1: "1 steps"}),
    (ProgressiveDistillation(start_steps=8, end_steps=2), {4: "4 steps", 2: "2 steps"}),
    (Reflow(pairs=100, fill=50), {4: "reflow 1", 2: "reflow 1", 1: "distil"}),
    (Reflow(pairs=100, fill=50, reflows=0), {1: "distil"}),
    (Reflow(pairs=100, fill=50, distil_share=0.0), {1: "reflow 1", 2: "reflow 1", 4: "reflow 1"}),
    (Dmd2(num_inference_steps=4, imitate=0.2), {1: "match", 2: "match", 4: "match"}),
    (Dmd2(), {1: "match"}),
    (GuidanceDistillation(), {4: "4 steps", 2: "2 steps", 1: "1 steps"}),
    (GuidanceDistillation(end_steps=4), {1: "guidance", 2: "guidance", 4: "4 steps"}),
    (GuidanceDistillation(start_steps=0), {1: "guidance", 2: "guidance", 4: "guidance"}),
])
def test_which_act_is_measured_at_which_count(method, plan):
    acts = method.acts(100)
    assert {count: acts[index].name for count, index in contest.last_acts(acts).items()} == plan


def test_the_whole_programme_is_sampled_as_its_last_act():
    for method in (ProgressiveDistillation(start_steps=8), GuidanceDistillation(), Dmd2(num_inference_steps=2)):
        assert method.acts(100)[-1].method.sampler() == method.sampler()


@dataclass(frozen=True)
class TwoActs:
    """Pulls the student's answers to ``level``; the second act throws its weights away as it enters."""

    process: Process = Edm()
    level: float = 1.0
    lr: float = 1e-2
    form = "x0"

    def acts(self, steps):
        def forget(nets):
            for net in (nets["student"], nets["student.average"]):
                for weight in net.parameters():
                    weight.zero_()
        return (Act("first", self, steps // 2), Act("second", replace(self, level=-1.0), steps // 2, forget))

    def updates(self):
        return (Update(("student",), self.loss, self.lr, average=0.5),)

    def sampler(self):
        return Sampler(Euler(), "uniform", 2 if self.level > 0 else 1, only=True)

    def loss(self, nets, batch, now):
        t = self.process.t_max * batch.x[:, 0].sigmoid()
        return Loss((nets["student"](batch.x, t) - self.level).square().mean())


def test_an_act_is_measured_as_it_ended_and_looking_changes_nothing():
    bench = load("gmm2d", **SMALL)
    alone = born(bench, TwoActs(), steps=20, batch_size=8)
    half = born(bench, replace(TwoActs()), steps=20, batch_size=8)
    half.acts = (half.acts[0], replace(half.acts[1], enter=None))
    for _ in train(half, until=9):  # the last step of the act taken by hand, so that no act is entered
        pass
    from workbench.train.loop import take

    take(half, 0, [half.data.at(9)])
    before = contest.point(bench, half, TwoActs().sampler(), 2, 0)
    watched = born(bench, TwoActs(), steps=20, batch_size=8)
    watch = contest.Watch(bench, watched, 0)
    for run in (alone, watched):
        for _ in train(run):
            pass
    watch.look(watched.act)
    assert watch.points[2]["figures"] == before["figures"] and watch.points[2]["steps"] == 10
    assert watch.points[1]["steps"] == 20
    weights = [[weight.tolist() for weight in run.student().parameters()] for run in (alone, watched)]
    assert weights[0] == weights[1]


def test_a_diverged_training_keeps_what_its_earlier_acts_reached(entered):
    path = entered / "halves.toml"
    path.write_text(path.read_text() + "lr = 1e30\n")
    found = small(entered, seeds=1, only=["halves"])
    entry = next(entry for entry in found["entries"] if entry["slug"] == "halves")
    assert entry["note"].startswith("diverged at step")
    assert [point["num_inference_steps"] for point in entry["points"]] == [1, 2, 4]
    assert all(value is None for value in entry["points"][0]["figures"].values())
    json.dumps(found, allow_nan=False)
    assert any("no value in 1 of 1" in line for line in comparison.lines(found))
