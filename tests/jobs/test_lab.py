"""JupyterLab opens on the notebooks, and never without its token."""

from pathlib import Path

import pytest

from workbench.jobs import lab


def test_it_opens_the_checkouts_notebooks():
    command = lab.command_line(["--no-browser", "--port=0"])
    assert command[-2:] == ["--no-browser", "--port=0"] and command[1:3] == ["-m", "jupyterlab"]
    root = Path(command[3].removeprefix("--ServerApp.root_dir="))
    assert (root / "quickstart.ipynb").exists()


@pytest.mark.parametrize("option", ["--ServerApp.token=", "--IdentityProvider.token=''", '--ServerApp.password=""'])
def test_the_token_stays(option):
    with pytest.raises(ValueError, match="the address holds the token"):
        lab.command_line([option])


def test_installed_notebooks_are_copied_once(tmp_path, monkeypatch):
    packed = tmp_path / "site" / "workbench" / "notebooks"
    packed.mkdir(parents=True)
    (packed / "a.ipynb").write_text("{}")
    monkeypatch.setattr(lab, "shipped", lambda: {"a": packed / "a.ipynb"})
    monkeypatch.chdir(tmp_path)
    assert lab.folder() == tmp_path / "notebooks"
    (tmp_path / "notebooks" / "a.ipynb").write_text("mine")
    assert lab.folder() == tmp_path / "notebooks" and (tmp_path / "notebooks" / "a.ipynb").read_text() == "mine"
