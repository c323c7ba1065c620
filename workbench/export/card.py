"""The model card of an exported student: what it is, how it is sampled, what made it, what was measured."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

CALL = """```python
import json
from diffusers import {kind}

pipe = {kind}.from_pretrained("{name}")
sampling = json.load(open("{name}/sampling.json"))
{ask}
```
"""
LORA = """
The adapters alone are in `lora/`: load the original pipeline, give it the scheduler of this folder, then
`pipe.load_lora_weights("{name}/lora")`.
"""


def card(kind: str, name: str, sampling: Mapping[str, Any], adapters: bool, told: Mapping[str, Any]) -> str:
    """Markdown with a YAML head. ``told``: "provenance" and "measured", each a mapping; texts in it stay texts."""
    words = "image" if "unconditional" in kind.lower() or kind.startswith("DD") else '"a prompt"'
    ask = "image = pipe(**sampling)" if words == "image" else f"image = pipe({words}, **sampling)"
    lines = ["---", "library_name: diffusers", "tags:", "- distillation", "- few-step", "---", "", f"# {plain(name)}",
             "", f"A student in {sampling['num_inference_steps']} step(s), distilled with distillation-workbench.", "",
             CALL.format(kind=kind, name=name, ask=ask)]
    if adapters:
        lines.append(LORA.format(name=name))
    for title, rows in told.items():
        lines += ["", f"## {plain(title.capitalize())}", "", "| what | value |", "|---|---|"]
        lines += [f"| {plain(key)} | {plain(value)} |" for key, value in rows.items()]
    return "\n".join(lines) + "\n"


def plain(value: Any) -> str:
    """A value in a cell of a table, unable to be anything else."""
    text = value if isinstance(value, str) else f"{value:.4g}" if isinstance(value, float) else json.dumps(value)
    for sign, written in (("&", "&amp;"), ("<", "&lt;"), (">", "&gt;"), ("|", "\\|"), ("\n", " "), ("`", "'")):
        text = text.replace(sign, written)
    return text
