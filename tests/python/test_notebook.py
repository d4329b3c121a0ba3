"""The notebook of examples/, run as it is with the real libraries."""

import pytest
from conftest import ROOT

nbclient = pytest.importorskip("nbclient")
pytest.importorskip("transformers")
pytest.importorskip("sae_lens")
pytest.importorskip("repeng")


def test_the_notebook_runs_and_shows_its_pictures():
    import nbformat

    notebook = nbformat.read(ROOT / "examples" / "notebook.ipynb", as_version=4)
    for cell in notebook.cells:
        cell.pop("outputs", None)
        if cell.cell_type == "code":
            cell.outputs = []
    nbclient.NotebookClient(notebook, timeout=900, kernel_name="python3").execute()  # its own asserts must hold
    shown = [output.data.get("text/html", "") for cell in notebook.cells for output in cell.get("outputs", ())
             if output.output_type == "execute_result"]  # fmt: skip
    assert sum("<svg" in html for html in shown) == 4  # the gauge, and what moving is worth, three times
