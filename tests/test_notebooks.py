"""The notebook runs from its first cell to its last where there is no training yet: on drawn people."""

import importlib.util
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from maskwatch.settings import PROJECT

pytestmark = [
    pytest.mark.skipif(
        importlib.util.find_spec("nbclient") is None or importlib.util.find_spec("ultralytics") is None,
        reason="the training packages are not here: make test TRAIN=1",
    ),
    pytest.mark.timeout(1800),
]


def test_the_notebook_runs_on_drawn_people(tmp_path: Path) -> None:
    parameters = (PROJECT / "params.yaml").read_text().replace("folder: build/train #", f"folder: {tmp_path}/none #")
    (tmp_path / "params.yaml").write_text(parameters)
    out = tmp_path / "training.ipynb"
    variables = os.environ | {"MASKWATCH_NOTEBOOK_PARAMETERS": str(tmp_path / "params.yaml")}
    done = subprocess.run(
        [sys.executable, "notebooks/make.py", str(out)],
        cwd=PROJECT, env=variables, capture_output=True, text=True, timeout=1700, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr[-3000:]
    code = [cell for cell in json.loads(out.read_text())["cells"] if cell["cell_type"] == "code"]
    assert all(cell["execution_count"] for cell in code)
    outputs = [output for cell in code for output in cell["outputs"]]
    assert not [output for output in outputs if output["output_type"] == "error"]
    text = "".join("".join(output["text"]) for output in outputs if output.get("name") == "stdout")
    assert text.startswith("drawn people, two epochs\n")
    for said in (
        "people",
        "with_mask",
        "AP50 with_mask",
        "people, wide",
        "picture (SHA-256)",
        "pictures have a mistake",
    ):
        assert said in text
    pictures = [output for output in outputs if "image/png" in output.get("data", {})]
    assert len(pictures) == 4
