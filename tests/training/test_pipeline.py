"""``dvc repro``: from pictures to a judged model, by our own commands. Needs the training packages."""

import importlib.util
import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from maskwatch.settings import PROJECT
from producers.drawn import write_voc
from training.artefact.exported import read_exported
from training.datasets.importing import read
from training.datasets.manifest import build, load, save

pytestmark = [
    pytest.mark.skipif(
        importlib.util.find_spec("dvc") is None or importlib.util.find_spec("ultralytics") is None,
        reason="the training packages are not here: make test TRAIN=1",
    ),
    pytest.mark.timeout(3600),
    pytest.mark.filterwarnings("default"),  # torch warns about itself
]

PARAMETERS = """
pictures:
  facemask_voc: ../pictures/voc
  facemask_hires: ../pictures/hires
  portraits: ../pictures/portraits
drawn: {folder: build/drawn, source: drawn, count: 4, seed: 3}
split: --previous ../first.json
folder: build/train
trainings:
  first: {recipe: recipe.toml, weights: ../start.pt, folder: build/train/one}
  second: {recipe: recipe.toml, weights: build/train/one/run/weights/best.pt, folder: build/train/two}
model: {training: build/train/two, name: tiny, version: "1", wide: 96x64, square: 64x64}
export: --precision fp32
evaluate: --shape wide --no-speed --no-pictures
"""
RECIPE = """
weights = "said by params.yaml"
epochs = 1
image_size = 32
batch = 8
learning_rate = 1e-6
"""


def dvc(place: Path, *arguments: str) -> str:
    variables = os.environ | {
        "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}",
        "MASKWATCH_DATA_DIR": str(place.parent / "state"),
        "DVC_SITE_CACHE_DIR": str(place.parent / "dvc-site"),
        "GIT_CEILING_DIRECTORIES": str(place.parent),
    }
    done = subprocess.run(
        ["dvc", *arguments], cwd=place, env=variables, capture_output=True, text=True, timeout=3500, check=False
    )
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-3000:]
    return done.stdout


def sees_faces_everywhere(file: Path) -> None:
    """Make start weights that need no download and are sure of everything, so that the golden picture shows faces."""
    import torch  # noqa: PLC0415  # seconds, and only here
    from ultralytics import YOLO  # noqa: PLC0415
    from ultralytics.nn.tasks import DetectionModel  # noqa: PLC0415

    yolo = YOLO("yolov8n.yaml")
    yolo.model = DetectionModel("yolov8n.yaml", nc=3, verbose=False)
    with torch.no_grad():
        for branch in yolo.model.model[-1].cv3:
            branch[-1].bias.fill_(3.0)
    yolo.save(file)


@pytest.fixture
def place(tmp_path: Path) -> Path:
    """A clone with pictures beside it."""
    clone = tmp_path / "clone"
    (clone / ".dvc").mkdir(parents=True)
    for name in ("dvc.yaml", ".dvcignore", ".dvc/config", ".dvc/.gitignore"):
        shutil.copyfile(PROJECT / name, clone / name)
    (clone / ".gitignore").write_text("/build/\n")
    (clone / "params.yaml").write_text(PARAMETERS)
    (clone / "recipe.toml").write_text(RECIPE)
    subprocess.run(["git", "init", "-q", str(clone)], check=True, timeout=60)
    return clone


def test_pictures_become_a_judged_model_and_nothing_is_done_twice(place: Path) -> None:
    for seed, name in enumerate(("voc", "hires", "portraits"), 20):
        write_voc(place.parent / "pictures" / name, 10, seed)
    first = build(read([place.parent / "pictures" / "voc"]).pictures)
    save(first, place.parent / "first.json")
    sees_faces_everywhere(place.parent / "start.pt")
    before = sorted((place.parent / "pictures").rglob("*"))
    dvc(place, "repro")
    model = read_exported(place / "build/train/model")
    manifest = load(place / "build/train/manifest.json")
    assert manifest.sources == ["drawn", "hires", "portraits", "voc"]
    assert (manifest.parent, manifest.part("test")) == (first.sha256, first.part("test"))
    assert (model.card.name, model.manifest) == ("tiny", manifest.sha256)
    assert any(title.startswith("voc, wide, fp32") for title in model.headline)
    assert "voc, wide, fp32" in dvc(place, "metrics", "show", "--json")
    # Up to date: nothing would be done.
    assert "up to date" in dvc(place, "status")
    assert json.loads(dvc(place, "status", "--json")) == {}
    # Pictures stayed where they are, as they were, and only there.
    assert sorted((place.parent / "pictures").rglob("*")) == before
    kept = [file.read_bytes()[:2] for file in (place / ".dvc/cache").rglob("*") if file.is_file()]
    golden = (place / "build/train/model/golden.jpg").read_bytes()
    assert kept.count(b"\xff\xd8") == 1, "a picture was copied into the cache"
    assert golden[:2] == b"\xff\xd8"
    # Another picture changes everything that follows.
    write_voc(place.parent / "pictures/voc", 11, 20)
    assert "import" in dvc(place, "status", "--json")


def test_the_pipeline_of_the_project_can_be_read_and_drawn() -> None:
    graph = dvc(PROJECT, "dag", "--dot")
    for one, next_one in (
        ("draw", "import"),
        ("import", "split"),
        ("split", "train@first"),
        ("train@first", "train@second"),
        ("train@second", "export"),
        ("export", "evaluate"),
    ):
        assert f'"{one}" -> "{next_one}"' in graph
    json.loads(dvc(PROJECT, "status", "--json"))
    assert dvc(PROJECT, "config", "core.analytics").strip() == "false"
