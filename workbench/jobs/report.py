"""The executed notebook as one HTML page: pictures inside, no script, nothing fetched."""

from __future__ import annotations

import re
from pathlib import Path

import nbformat
from nbconvert import HTMLExporter

from workbench.files import write_whole

SCRIPT = re.compile(r"<script\b.*?</script\s*>", re.DOTALL | re.IGNORECASE)
POLICY = """<meta http-equiv="Content-Security-Policy"
 content="default-src 'none'; img-src data:; font-src data:; style-src 'unsafe-inline'">"""


def write_html(executed: Path, title: str) -> Path:
    """Write ``<executed>.html`` beside the notebook and return its path.

    Outputs are sanitised, the page's own scripts dropped, and its policy forbids the browser to run or fetch anything.
    """
    notebook = nbformat.read(executed, as_version=4)
    notebook.metadata["title"] = title
    notebook.metadata.pop("widgets", None)
    exporter = HTMLExporter(template_name="lab", embed_images=True, sanitize_html=True, exclude_input_prompt=True,
                            exclude_output_prompt=True)
    page = SCRIPT.sub("", exporter.from_notebook_node(notebook)[0]).replace("<head>", f"<head>{POLICY}", 1)
    path = executed.with_suffix(".html")
    write_whole(path, page.encode())
    return path
