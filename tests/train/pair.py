"""``python -m tests.train.pair RANK MEETING FOLDER``: one of two processes that train small pipelines together.

``CASES`` says what is trained; ``trained`` does it, in one process or as one of two, and is what the tests compare.
"""

import json
import os
import sys
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import save_file
from torch import distributed

from workbench.benches.assemble import born
from workbench.benches.pipeline import PipelineBench
from workbench.methods.score.dmd2 import Dmd2
from workbench.methods.steps.consistency import ConsistencyDistillation
from workbench.methods.steps.continuous_consistency import ContinuousConsistency
from workbench.solvers import Euler
from workbench.train.checkpoint import restore, save_run, tensors_of
from workbench.train.loop import train
from workbench.train.place import Place
from workbench.train.shard import share

CONSISTENCY = ConsistencyDistillation(solver=Euler(), grid=8, lr=1e-3)
DMD2 = Dmd2(num_inference_steps=2, critic_turns=2, gan=3e-3, lr=1e-3, critic_lr=1e-3)
CONTINUOUS = ContinuousConsistency(lr=1e-3)


@dataclass(frozen=True)
class Case:
    """A training of two micro-batches a step; ``rank`` None trains a whole copy."""

    kind: str
    method: Any
    rank: int | None = None
    steps: int = 3
    shard: bool = False
    bfloat16: bool = False


CASES = {
    "sd lora consistency": Case("sd", CONSISTENCY, 4),
    "sd lora dmd2": Case("sd", DMD2, 4),
    "flux lora consistency": Case("flux", CONSISTENCY, 4),
    "flux copy dmd2": Case("flux", DMD2),
    "flux copy continuous": Case("flux", CONTINUOUS),
    "sharded sd copy consistency": Case("sd", CONSISTENCY, steps=10, shard=True),
    "sharded flux copy consistency": Case("flux", CONSISTENCY, steps=10, shard=True),
    "sharded flux copy dmd2": Case("flux", replace(DMD2, num_inference_steps=1), shard=True),
    "sharded flux copy continuous": Case("flux", CONTINUOUS, shard=True),
    "sharded sd lora consistency": Case("sd", CONSISTENCY, 4, shard=True),
    "bfloat16 flux copy consistency": Case("flux", CONSISTENCY, bfloat16=True),
}
RESUMED = "sharded flux copy consistency"  # saved after HALF of its steps, and gone on with
HALF = 5
UNEVEN = "flux copy dmd2"  # draws how many steps to take, by itself in each micro-batch


class Pictured:
    """Latents of a fixed law in place of the pictures that these random pipelines never saw."""

    def __init__(self, bench) -> None:
        self.bench = bench

    def at(self, step, block=0):
        batch = self.bench.data(0, 2).at(step, block)
        return batch._replace(x=torch.randn(batch.x.shape, generator=torch.Generator().manual_seed(2 * step + block)))


def run_of(case: Case, folder: Path, place: Place, out: Path | None = None):
    bench = PipelineBench(str(folder / case.kind), ("a red circle", "a big blue square"), rank=case.rank, size=(32, 32))
    run = born(bench, case.method, steps=case.steps, batch_size=2, blocks=2, place=place, folder=out)
    run.data = Pictured(bench)
    return run


def trained(run, until: int | None = None) -> dict[str, list]:
    """Train; (step, update, micro-batch, loss) of all that this process saw, and the gradient norm of every update."""
    seen = []

    def told(index, loss):
        def asked(nets, batch, now):
            found = loss(nets, batch, now)
            seen.append([run.step, index, now.key.block, float(found.total.detach())])
            return found

        return asked

    own, run.updates = run.updates, tuple(replace(u, loss=told(i, u.loss)) for i, u in enumerate(run.updates))
    norms = [float(taken.grad_norm) for stepped in train(run, until) for taken in stepped.taken]
    run.updates = own
    return {"losses": seen, "norms": norms}


def held(run) -> dict[str, list[int]]:
    """Bytes that this process holds, and bytes of the whole: of student and base, and of the student's moments."""
    student = run.nets["student"]
    base = student.network.model if hasattr(student, "shared") else run.nets["teacher"].model
    count = lambda params: sum(p.numel() * p.element_size() for p in params)  # noqa: E731
    frozen = [p for name, p in base.named_parameters() if ".lora_" not in name]
    found = {name: [count(map(share, list(params))), count(params)] for name, params in
             {"student": list(student.parameters()), "base": frozen}.items()}
    moments = [v for one in run.optimizers for state in one.state.values() for v in state.values() if v.ndim]
    return found | {"moments": [count(moments)]}


def main(rank: int, meeting: str, folder: Path) -> None:
    from accelerate import Accelerator

    torch.set_num_threads(1)
    distributed.init_process_group("gloo", init_method=f"file://{meeting}", rank=rank, world_size=2)
    place, said = Place(rank=rank, world=2), {}
    mixed = Place.of(Accelerator(cpu=True, mixed_precision="bf16"))
    for name, case in CASES.items():
        at = replace(mixed if case.bfloat16 else place, shard=case.shard)
        run = run_of(case, folder, at, folder / f"saved {rank and 'elsewhere'}")
        if name == RESUMED:
            said[name] = trained(run, HALF)
            save_run(run)
            again = run_of(case, folder, at, folder / "saved by one")
            restore(again)
            save_file(tensors_of(again), folder / f"{rank} resumed.safetensors")
            trained(again)
            save_file(tensors_of(again), folder / f"{rank} resumed, at its end.safetensors")
            for key, values in trained(run).items():
                said[name][key] += values
        else:
            said[name] = trained(run)
        said[name]["held"] = held(run)
        save_file(tensors_of(run), folder / f"{rank} {name}.safetensors")
    try:
        trained(run_of(CASES[UNEVEN], folder, replace(place, shard=True)))
    except ValueError as error:
        said["refused"] = str(error)
    (folder / f"{rank}.json").write_text(json.dumps(said))
    sys.stdout.flush()
    os._exit(0)  # as workbench.jobs.ranks ends


if __name__ == "__main__":
    main(int(sys.argv[1]), sys.argv[2], Path(sys.argv[3]))
