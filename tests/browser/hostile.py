"""Twenty strings that try to become more than text, put into every text field that a view has."""

from typing import Any

import numpy as np

STRINGS = [
    '<script>window.__pwned = 1</script>',
    '<img src=x onerror="window.__pwned = 2">',
    '"><img src=x onerror=window.__pwned=3>',
    "'><svg onload=window.__pwned=4>",
    '</script><script>window.__pwned = 5</script>',
    '</style><script>window.__pwned = 6</script>',
    'javascript:window.__pwned=7',
    '<a href="javascript:window.__pwned=8">here</a>',
    '<iframe srcdoc="<script>parent.__pwned=9</script>"></iframe>',
    '{{constructor.constructor("window.__pwned=10")()}}',
    '${window.__pwned=11}`${alert(1)}`',
    '" onmouseover="window.__pwned=12" autofocus onfocus="window.__pwned=12',
    "'; window.__pwned = 13; //",
    '\\u003cimg src=x onerror=window.__pwned=14\\u003e &lt;b&gt; &#60;i&#62;',
    '<!--<script>window.__pwned=15</script>--><![CDATA[<b>]]>',
    '\u202eright to left \u2066<b>isolated</b>\u2069 \u05e9\u05dc\u05d5\u05dd',
    'e\u0301' + '\u0300' * 40 + ' \U0001f3f4\U000e0067 \u200b\ufeff zero width \u2028 line',
    'long ' * 400 + '<img src=x onerror=window.__pwned=18>',
    '%3Cscript%3Ewindow.__pwned%3D19%3C%2Fscript%3E $& $1 \\n %s {0} __proto__',
    '<math><mi xlink:href="data:x,<script>window.__pwned=20</script>"></math> $\\href{javascript:__pwned=20}{x}$',
]  # fmt: skip


def everything(text: str) -> dict[str, Any]:
    """For each view its data with ``text`` wherever text goes."""
    t, sigma = np.linspace(1, 0, 5), np.array([10.0, 3, 1, 0.1, 0])
    states = np.random.default_rng(0).normal(size=(5, 6, 2))
    model = {"name": text, "role": "student", "sigma": sigma, "t": t, "evaluations": np.arange(5), "states": states,
             "x0": states * 0.5}  # fmt: skip
    row = {"name": text, "sigma": sigma[:-1], "t": t[:-1], "x0": states[:-1], "unit": text, "diversity": t[:-1],
           "to_end": t[:-1], "change": np.array([np.nan, 1, 1, 1]), "final": states[-1]}  # fmt: skip
    frame = {"title": text, "kind": "points", "limits": (-3, 3), "notes": [text]}
    steps = [{"run": 0, "step": step, "time": 1e9 + step, "series": {f"student: {text}": 1 / step, text: 2.0},
              "lr": {text: 0.1}, "bins": {text: {"t": t, "error": t}}} for step in (1, 2, 3)]  # fmt: skip
    return {
        "dashboard": {"title": text, "notes": [text], "runs": [{"name": text, "steps": 10, "message": text}],
                      "rows": [*steps, {"run": 0, "step": 2, "mark": "change", "text": text},
                               {"run": 0, "status": "failed", "message": text}]},
        "panel": {"name": text, "folder": f"runs/{text}", "message": text, "can": ["stop", "change", "fork"],
                  "checkpoints": [1], "fields": [
                      {"name": text, "kind": "float", "value": 1.0, "doc": text},
                      {"name": f"or {text}", "kind": "choice", "value": text, "choices": [text, "b"], "doc": text}]},
        "player": {**frame, "moments": [{"step": None, "models": [model]}], "labels": [text] * 6},
        "inspector": {**frame, "rows": [row, {**row, "name": f"{text} 2"}]},
    }  # fmt: skip


HARM = """() => {
    const every = [...document.querySelectorAll(".wb")].flatMap((root) => [...root.querySelectorAll("*")]);
    const made = "img, script, iframe, a, svg, math, object, embed, style, link, base, b, i";
    const armed = (one) => [...one.attributes].some(({ name }) => name.startsWith("on"));
    const written = (ones) => ones.map((one) => one.outerHTML);
    return { pwned: window.__pwned ?? null, foreign: written(every.filter((one) => one.matches(made))),
        armed: written(every.filter(armed)) }; }"""
SHOWN = """(names) => Object.fromEntries(names.map((name) =>
    [name, [...document.querySelectorAll(`.wb-${name}.wb`)].at(-1)?.textContent]))"""
