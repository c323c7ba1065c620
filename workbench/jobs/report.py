"""The executed notebook as one HTML page: pictures inside, nothing fetched, and no script but the views' own."""

from __future__ import annotations

import re
import secrets
from html import escape
from pathlib import Path
from typing import Any

import bleach
import nbformat
from nbconvert import HTMLExporter

from workbench.files import write_whole
from workbench.jobs import folder as folders

SCRIPT = re.compile(r"<script\b.*?</script\s*>", re.DOTALL | re.IGNORECASE)
HASH = re.compile(r"script-src '(sha256-[A-Za-z0-9+/=]+)'")
POLICY = """<meta http-equiv="Content-Security-Policy"
 content="default-src 'none'; img-src data: blob:; font-src data:; style-src 'unsafe-inline'; script-src {scripts}">"""
FRAME = """<details><summary>move through it: {name}</summary>
<iframe sandbox="allow-scripts" loading="lazy" style="width:100%;height:{height}px;border:0" srcdoc="{page}"></iframe>
</details>"""
TAGS = {*bleach.ALLOWED_TAGS, "br", "caption", "del", "div", "h1", "h2", "h3", "h4", "h5", "h6", "hr", "p", "pre",
        "span", "sub", "sup", "table", "tbody", "td", "th", "thead", "tr"}  # of Markdown and of our tables
HEIGHT = 720  # pixels of a view in the page


def report(folder: Path) -> Path:
    """Write the page of a job's folder as far as the job came, titled with its status, and return its path."""
    record = folders.read(folder)
    executed = folder / record["notebook"]
    return write_html(executed, f"{executed.stem} ({record['status']})")


def write_html(executed: Path, title: str) -> Path:
    """Write ``<executed>.html`` beside the notebook and return its path.

    Outputs are sanitised and the page's own scripts dropped. Views that the job kept in ``figures/`` stand beneath
    their pictures, each in a sandboxed frame; the policy lets their scripts run, by hash, and nothing be fetched.
    """
    notebook = nbformat.read(executed, as_version=4)
    notebook.metadata["title"] = title
    notebook.metadata.pop("widgets", None)
    token = secrets.token_hex(16)  # no output can hold it
    views = {name: page.read_text(encoding="utf-8") for name in placed(notebook, token)
             if (page := executed.parent / "figures" / name).is_file()}
    exporter = HTMLExporter(template_name="lab", embed_images=True, sanitize_html=True, exclude_input_prompt=True,
                            exclude_output_prompt=True, filters={"clean_html": cleaned})
    page = SCRIPT.sub("", exporter.from_notebook_node(notebook)[0])
    for name, view in views.items():
        frame = FRAME.format(name=escape(name.removesuffix(".html")), height=HEIGHT, page=escape(view))
        page = page.replace(f"{token}:{name}", frame, 1)
    hashes = [f"'{found}'" for view in views.values() for found in HASH.findall(view)[:1]]
    policy = POLICY.format(scripts=" ".join(hashes) or "'none'")
    path = executed.with_suffix(".html")
    write_whole(path, page.replace("<head>", f"<head>{policy}", 1).encode())
    return path


def cleaned(html: str | bytes) -> str:
    """HTML of a Markdown cell or of an output with nothing but TAGS, their classes and names, and links.

    In place of nbconvert's own filter, which knows no headings.
    """
    text = html.decode() if isinstance(html, bytes) else str(html)
    return bleach.clean(text, tags=TAGS, attributes={**bleach.ALLOWED_ATTRIBUTES, "*": ["class", "id"]})


def placed(notebook: Any, token: str) -> list[str]:
    """Put the token beneath every picture that has a view, and name the views' files."""
    found = []
    for cell in notebook.cells:
        outputs = []
        for output in cell.get("outputs", []):
            outputs.append(output)
            name = output.get("metadata", {}).get("image/png", {}).get("workbench_view")
            if isinstance(name, str) and re.fullmatch(r"[0-9]+-[a-z0-9-]+\.html", name) and name not in found:
                found.append(name)
                outputs.append(nbformat.v4.new_output("display_data", {"text/html": f"{token}:{name}"}))
        if "outputs" in cell:
            cell.outputs = outputs
    return found
