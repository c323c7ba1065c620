"""``export``: a student as others load it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from workbench.cells.model import Model
from workbench.cells.show import run_folder
from workbench.naming import unknown
from workbench.train.checkpoint import fingerprint

FORMS = ("diffusers",)


def export(student: Model, form: str = "diffusers", folder: Path | str | None = None, *,
           num_inference_steps: int | None = None) -> Path:
    """Write a distilled student of a pipeline as a folder that plain diffusers loads; returns the folder.

    With stock schedulers and the trained timesteps (``sampling.json``), LoRA as loadable weights, and a model card
    that holds what made it and what was measured. ``folder`` None: ``<run's folder>/diffusers``. ValueError for
    another form, for a student of a bench that is no pipeline, and for one that plain diffusers cannot run.
    """
    if form not in FORMS:
        raise ValueError(unknown("form", form, FORMS))
    run, bench = student.trained, student.bench
    teacher = getattr(bench, "pipeline", None)
    if teacher is None:
        raise ValueError(f"the bench {bench.name} is no diffusers pipeline: only students of one can be exported so")
    from workbench.export.to_diffusers import export as write

    place = Path(folder) if folder else (run.folder or run_folder() or Path("runs") / student.name) / "diffusers"
    told = {"provenance": provenance(student), "measured": measured(student, num_inference_steps)}
    written, plan = write(teacher, student.now().net, student.asked(num_inference_steps), student.process, place,
                          num_inference_steps=num_inference_steps, told=told)
    print(f"exported to {written}: {type(plan.scheduler).__name__}, {plan.call}", flush=True)
    return written


def provenance(student: Model) -> dict[str, Any]:
    """What made the student: method and settings, steps, seed, teacher by name and weights."""
    import workbench

    run = student.trained
    settings = {name: value for name, value in vars(run.method).items() if isinstance(value, (int, float, str, bool))}
    return {"method": type(run.method).__name__, "settings": settings, "steps": f"{run.step} of {run.steps}",
            "seed": run.seed, "batch size": run.blocks * getattr(run.data, "batch_size", 1),
            "teacher": str(getattr(student.bench, "folder", student.bench.name)),
            "teacher weights": fingerprint(run.nets["teacher"]), "teacher calls": run.teacher_calls,
            "distillation-workbench": workbench.__version__}


def measured(student: Model, num_inference_steps: int | None) -> dict[str, Any]:
    """The bench's metrics of the student's own samples, seed 0."""
    generated = student.generate(num_inference_steps)
    numbers = student.bench.measure(generated)
    return {"samples": len(generated.x), "evaluations a sample": generated.evaluations} | numbers
