"""diffusers pipelines as teachers: ``Teacher.from_pretrained(name_or_folder, prompts)``."""

from workbench.teachers.from_diffusers.teacher import Teacher

__all__ = ["Teacher"]
