"""The notebook in docs/ runs from its first cell to its last."""

from __future__ import annotations

from pathlib import Path

import nbclient
import nbformat

NOTEBOOK = Path(__file__).parents[1] / "docs" / "llmsched.ipynb"


def test_the_notebook_runs_and_shows_a_table() -> None:
    notebook = nbformat.read(NOTEBOOK, as_version=4)  # type: ignore[no-untyped-call]  # it has none
    nbclient.NotebookClient(notebook, timeout=120, kernel_name="python3").execute()
    outputs = [output for cell in notebook.cells for output in cell.get("outputs", [])]
    assert "<table" in outputs[0]["data"]["text/html"]
    assert all(output["output_type"] != "error" for output in outputs)
