"""Options of an executor come as texts from the command line."""

import pytest

from workbench.jobs.executors import executor


def test_texts_become_what_the_option_wants():
    made = executor("local", jobs=3, gpus_per_job=2, gpus="0,2,5")
    assert made.jobs == 3 and made.gpus == ["0", "2", "5"]
    made = executor("slurm", jobs=2, cluster="local", minutes="7", cpus_per_job="2")
    assert made.settings["timeout_min"] == 7
    made.close()


@pytest.mark.parametrize(("name", "options", "says"), [
    ("slrum", {}, "did you mean 'slurm'"),
    ("slurm", {"partitoin": "gpu"}, "did you mean 'partition'"),
    ("slurm", {"cluster": "local", "minutes": "many"}, "option minutes=many"),
    ("slurm", {"cluster": "pbs"}, "slurm or local"),
    ("local", {"command": "rm"}, "option command=rm"),
])
def test_wrong_options_are_said(name, options, says):
    with pytest.raises(ValueError, match=says):
        executor(name, jobs=1, **options)
