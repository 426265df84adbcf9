"""Write a notebook from the script beside it and run it: ``python notebooks/make.py [OUT]``.

The script has cells as editors know them: ``# %%`` begins code, ``# %% [markdown]`` begins text in comments.
"""

import os
import sys
from collections.abc import Iterator
from pathlib import Path

# Jupyter's own switch to the paths of its next version; without it each start warns.
os.environ.setdefault("JUPYTER_PLATFORM_DIRS", "1")

import nbformat
from nbclient import NotebookClient

SCRIPT = Path(__file__).with_name("training.py")
CELL_S = 3600
"""For one cell; the first one trains where there is no training."""


def cells(script: str) -> Iterator[nbformat.NotebookNode]:
    """Yield the cells of a script, with ids that stay from one run to the next."""
    for number, text in enumerate(script.split("# %%")[1:]):
        head, _, body = text.partition("\n")
        identity = {"id": f"cell-{number:02}"}
        if "[markdown]" in head:
            lines = [line.removeprefix("#").removeprefix(" ") for line in body.strip().splitlines()]
            yield nbformat.v4.new_markdown_cell("\n".join(lines), **identity)
        else:
            yield nbformat.v4.new_code_cell(body.strip(), **identity)


def main(out: Path) -> None:
    """Write and run it."""
    notebook = nbformat.v4.new_notebook(cells=list(cells(SCRIPT.read_text(encoding="utf-8"))))
    notebook.metadata["kernelspec"] = {"name": "python3", "display_name": "Python 3", "language": "python"}
    where = {"metadata": {"path": str(SCRIPT.parents[1])}}
    NotebookClient(notebook, timeout=CELL_S, resources=where, kernel_name="python3", record_timing=False).execute()
    nbformat.write(notebook, out)


if __name__ == "__main__":
    main(Path(sys.argv[1]) if len(sys.argv) > 1 else SCRIPT.with_suffix(".ipynb"))
