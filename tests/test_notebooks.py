"""The notebooks run from top to bottom, in an empty folder."""

from __future__ import annotations

from pathlib import Path

import pytest

NOTEBOOKS = sorted((Path(__file__).parent.parent / "notebooks").glob("*.ipynb"))


# Warnings of the Jupyter client's own event loop and database handling are not ours to mend.
@pytest.mark.filterwarnings("default")
@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda p: p.stem)
def test_a_notebook_runs(path, tmp_path):
    nbformat = pytest.importorskip("nbformat")
    nbclient = pytest.importorskip("nbclient")
    notebook = nbformat.read(path, as_version=4)
    client = nbclient.NotebookClient(notebook, timeout=300, resources={"metadata": {"path": str(tmp_path)}})
    done = client.execute()
    texts = [o.get("text", "") for cell in done.cells for o in cell.get("outputs", [])]
    assert any("Budget 2x" in text for text in texts)
    assert (tmp_path / "studies" / "first-study" / "result.json").is_file()
