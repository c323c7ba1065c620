"""Notebooks made where they are tested."""

import nbformat
import pytest

PARAMETERS = """\
steps: int = 3  # in [1, 10]: steps of the student
rate: float = 0.5
name: str = "a"
seed: int = 0  # of everything"""


@pytest.fixture
def notebook(tmp_path):
    """write(*sources, parameters=..., name=...) -> the path of a notebook with these code cells."""

    def write(*sources: str, parameters: str | None = PARAMETERS, name: str = "tiny"):
        cells = [nbformat.v4.new_markdown_cell("# Tiny")]
        if parameters is not None:
            cells.append(nbformat.v4.new_code_cell(parameters, metadata={"tags": ["parameters"]}))
        cells += [nbformat.v4.new_code_cell(source) for source in sources]
        path = tmp_path / f"{name}.ipynb"
        nbformat.write(nbformat.v4.new_notebook(cells=cells), path)
        return path

    return write
