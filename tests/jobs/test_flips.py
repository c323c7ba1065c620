"""One flipped byte at 100 places of a finished job and its sweep, ten a kind of file: found, or it changes nothing.

Never a traceback of ours, never another number taken for the job's.
"""

import shutil
from random import Random

import nbformat
import pytest

from workbench.jobs.axes import Axes
from workbench.jobs.executors.local import Local
from workbench.jobs.folder import altered, events, load
from workbench.jobs.listing import told, whole
from workbench.jobs.sweep import Sweep
from workbench.record.store import read_events, read_state
from workbench.record.sweep import read_sweep, rows
from workbench.train.checkpoint import BrokenCheckpoint, checkpoints, read

pytestmark = pytest.mark.chaos
CELLS = ("from workbench import cells as w\ndata = w.bench('gmm2d')\n"
         "student = w.distil('consistency-distillation', data, steps=20, batch_size=16, name='student')\n"
         "kept = w.keep(score=0.5)")


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """(a sweep of one job that trained a student, that job's folder)."""
    place = tmp_path_factory.mktemp("flips")
    cells = [nbformat.v4.new_code_cell("seed: int = 0", metadata={"tags": ["parameters"]}),
             nbformat.v4.new_code_cell(CELLS)]
    nbformat.write(nbformat.v4.new_notebook(cells=cells), place / "tiny.ipynb")
    sweep = Sweep(Axes(seeds=1).jobs(str(place / "tiny.ipynb"), {}, {}), place / "sweep")
    assert sweep.run(Local(jobs=1)) == "succeeded"
    return sweep.folder, next(iter(sweep.jobs)).relative_to(sweep.folder)


def read_or_sentence(reader, *arguments):
    """What a reader returns, or the sentence with which it refuses."""
    try:
        return reader(*arguments)
    except (ValueError, BrokenCheckpoint) as error:
        assert str(error) and "\n" not in str(error)
        return str(error)


def all_lines(reader):
    return lambda folder: list(reader(folder))


READERS = {  # file -> what reads it
    "run.json": load, "sweep.json": read_sweep, "student/run.json": read_state, "events.jsonl": events,
    "student/events.jsonl": all_lines(read_events)}


@pytest.mark.parametrize("kind", ["sweep.json", "run.json", "events.jsonl", "tiny.ipynb", "metrics.json", "figure",
                                  "student/run.json", "student/events.jsonl", "checkpoint json", "checkpoint tensors"])
def test_ten_flips(made, tmp_path, kind):
    chance = Random(kind)
    for turn in range(10):
        sweep = tmp_path / f"sweep-{turn}"
        shutil.copytree(made[0], sweep)
        job = sweep / made[1]
        path = {"sweep.json": sweep / kind, "figure": min(job.glob("figures/*")),
                "checkpoint json": checkpoints(job / "student")[-1],
                "checkpoint tensors": checkpoints(job / "student")[-1].with_suffix(".safetensors"),
                }.get(kind, job / kind)
        data = bytearray(path.read_bytes())
        place = chance.randrange(len(data))
        data[place] ^= 1 << chance.randrange(8)
        path.write_bytes(data)
        check(kind, path, sweep, job, made[0] / made[1], f"bit flipped at byte {place}")


def check(kind, path, sweep, job, before, where):
    if kind in ("tiny.ipynb", "metrics.json", "figure"):
        name = path.relative_to(job).as_posix()
        assert altered(job, load(job)) == [name], where
        assert f"warning: {name} was altered since the run ended" in told(job, whole(job)), where
        assert kind != "metrics.json" or (rows(sweep)[0].status, rows(sweep)[0].metrics) == ("broken", {}), where
    elif kind.startswith("checkpoint"):
        with pytest.raises(BrokenCheckpoint):
            read(path if kind.endswith("json") else path.with_suffix(".json"))
        read(checkpoints(job / "student")[-2])  # the one before is whole
    elif kind.endswith("events.jsonl"):
        old, new = (READERS[kind](one) for one in ((before / kind).parent, path.parent))
        assert len(new) >= len(old) - 2 and sum(event in old for event in new) >= len(old) - 2, where
    else:
        old = READERS[kind](before.parents[1] if kind == "sweep.json" else (before / kind).parent)
        new = read_or_sentence(READERS[kind], path.parent)
        facts = [name for name in old if name != "digest"]
        assert isinstance(new, str) or all(new[name] == old[name] for name in facts), where
