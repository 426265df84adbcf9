"""From a checkpoint to a model's folder. Needs the training packages, and for real weights the developers' data."""

import importlib.util
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

import msgspec
import numpy as np
import pytest
from click.testing import CliRunner
from numpy.typing import NDArray

from maskwatch import pictures
from maskwatch.boxes import iou
from maskwatch.cli import main
from maskwatch.inference import Detected, Detector, OpenVinoNetwork, Rows
from maskwatch.messages import CLASSES, MarkedFace
from maskwatch.model import ModelCard
from maskwatch.settings import PROJECT, DetectorSettings, Settings
from training.artefact import export
from training.datasets.manifest import Entry, Manifest, save
from training.errors import ExportError
from training.evaluation.answers import MAX_PIXELS

MODEL = Settings().detector.model
GOLDEN = MODEL / "golden.jpg"
SHARED = PROJECT.parent / "shared"
PLAN = export.Plan("tiny", "1")
Test = TypeVar("Test", bound=Callable[..., None])
SEEN = 0.25
"""Answers that are surer than this are compared: both sides break ties near the threshold as they like."""


def needs_torch(test: Test) -> Test:
    """Mark a test that exports for real."""
    missing = importlib.util.find_spec("ultralytics") is None
    for mark in (
        pytest.mark.skipif(missing, reason="the training packages are not here: make test TRAIN=1"),
        pytest.mark.timeout(900),
        pytest.mark.filterwarnings("default"),  # torch's exporter and NNCF warn about themselves
    ):
        test = mark(test)
    return test


def entry(path: Path) -> Entry:
    return Entry(
        "0" * 64, str(path), "drawn", 1280, 720, "0", "train", (MarkedFace("with_mask", (0.0, 0.0, 1.0, 1.0)),)
    )


def checkpoint(folder: Path) -> Path:
    path = folder / export.BEST
    path.parent.mkdir(parents=True)
    path.write_bytes(b"weights")
    return path


def test_a_plan_that_cannot_serve_is_refused_before_anything_is_done(tmp_path: Path) -> None:
    for change, says in (
        ({"shapes": {"wide": (640, 360), "square": (640, 640)}}, "640x360: both sides must be multiples of 32"),
        ({"shapes": {"wide": (640, 384)}}, "square is missing"),
        ({"precisions": ("int8",)}, "FP32 cannot be left out"),
    ):
        with pytest.raises(ExportError, match=says):
            export.export(tmp_path / "best.pt", [], GOLDEN, tmp_path / "model", msgspec.structs.replace(PLAN, **change))
    assert list(tmp_path.iterdir()) == []


def test_a_checkpoint_tells_how_it_was_trained_back_to_the_first_start(tmp_path: Path) -> None:
    first, second = checkpoint(tmp_path / "photographs"), checkpoint(tmp_path / "with-drawn")
    (tmp_path / "photographs" / "recipe.json").write_text('{"weights": "/far/away/start.pt", "epochs": 6, "mosaic": 0}')
    (tmp_path / "with-drawn" / "recipe.json").write_text(
        f'{{"weights": "{first}", "epochs": 3, "shares": {{"drawn": 0.3}}, "without": ["portraits", "drawn"]}}'
    )
    assert export.history(second) == (
        "`photographs`, from `start.pt`: epochs 6, mosaic 0",
        "`with-drawn`, from the best of `photographs`: epochs 3, shares drawn 0.3, without portraits and drawn",
    )
    assert export.history(tmp_path / "loose.pt") == ()

    # The folder of the first training is gone, and the model that was exported of it is there.
    shipped = tmp_path / "model" / "checkpoint.pt"
    shipped.parent.mkdir()
    plan = msgspec.structs.replace(PLAN, name="faces", version="2", history=export.history(first))
    provenance = export.Provenance("0" * 64, "YOLOv8n", 300, plan)
    (shipped.parent / "provenance.json").write_bytes(msgspec.json.encode(provenance))
    third = checkpoint(tmp_path / "longer")
    (tmp_path / "longer" / "recipe.json").write_text(f'{{"weights": "{shipped}", "epochs": 8}}')
    assert export.history(third) == (
        "`photographs`, from `start.pt`: epochs 6, mosaic 0",
        "`longer`, from `faces` 2: epochs 8",
    )


def test_a_model_takes_the_place_of_the_old_one_when_it_answers_the_golden_picture(tmp_path: Path) -> None:
    import onnx  # noqa: PLC0415  # not everywhere that tests run

    out = tmp_path / "model"
    out.mkdir()
    (out / "model.json").touch()
    (out / "old").touch()
    plan = export.Plan("again", "7", shapes={"wide": (384, 224), "square": (320, 320)}, precisions=("fp32", "fp16"))
    provenance = export.Provenance("00" * 32, "YOLOv8n", 0, plan)
    card = export.assemble(onnx.load(MODEL / "model.onnx"), [], GOLDEN, out, provenance)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["model"]
    assert sorted(path.name for path in out.iterdir()) == [
        "golden.jpg", "model-fp16.bin", "model-fp16.xml", "model.json", "model.onnx", "provenance.json"
    ]  # fmt: skip
    assert export.read_provenance(out) == provenance
    assert export.read_provenance(tmp_path) is None
    for precision in ("fp32", "fp16"):
        detector = Detector(out, DetectorSettings.model_validate({"precision": precision}))
        assert detector.card == card
        detector.check_golden("square")
    assert (out / "model-fp16.bin").stat().st_size < 0.6 * (out / "model.onnx").stat().st_size


def test_weights_in_half_precision_are_a_third_of_the_size_and_answer_alike(tmp_path: Path) -> None:
    import onnx  # noqa: PLC0415  # not everywhere that tests run

    out, whole = tmp_path / "model", onnx.load(MODEL / "model.onnx")
    plan = export.Plan("small", "1", precisions=("fp32", "fp16"), half_weights=True)
    card = export.assemble(whole, [], GOLDEN, out, export.Provenance("00" * 32, "YOLOv8n", 0, plan))
    assert card.files["fp16"] == card.files["fp32"]
    assert (out / "model.onnx").stat().st_size < 0.55 * (MODEL / "model.onnx").stat().st_size
    assert onnx.load(MODEL / "model.onnx") == whole  # what was given is left alone
    for runtime, precision in (("openvino", "fp32"), ("openvino", "fp16"), ("onnxruntime", "fp32")):
        halved, exact = (
            Detector(folder, DetectorSettings.model_validate({"runtime": runtime, "precision": told}))
            for folder, told in ((out, precision), (MODEL, "fp32"))
        )
        (found,), (expected,) = (one.look([GOLDEN.read_bytes()], "wide") for one in (halved, exact))
        assert isinstance(found, Detected)
        assert isinstance(expected, Detected)
        assert [face.label for face in found.faces] == [face.label for face in expected.faces]
        assert [face.score for face in found.faces] == pytest.approx([face.score for face in expected.faces], abs=0.03)


def test_what_is_no_model_is_not_replaced(tmp_path: Path) -> None:
    thesis = tmp_path / "mine" / "thesis.txt"
    thesis.parent.mkdir()
    thesis.write_text("years of work")
    for folder in (thesis.parent, thesis):
        with pytest.raises(ExportError, match="is there and no model, and would be replaced: name another folder"):
            export.export(tmp_path / "best.pt", [], GOLDEN, folder, PLAN)
    assert thesis.read_text() == "years of work"


def test_the_command_names_what_is_missing(tmp_path: Path) -> None:
    (tmp_path / "loose.pt").write_bytes(b"weights")
    (tmp_path / "empty").mkdir()
    common = ["--name", "tiny", "--version", "1", "--out", str(tmp_path / "model")]
    for training, says in (("empty", "has its training finished an epoch?"), ("loose.pt", "name its data with")):
        result = CliRunner().invoke(main, ["export", str(tmp_path / training), *common])
        assert result.exit_code == 1
        assert says in result.output
    result = CliRunner().invoke(main, ["export", str(tmp_path / "loose.pt"), *common, "--wide", "640"])
    assert "'640' is not like 640x384" in result.output


@pytest.fixture(scope="module")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Make a checkpoint that needs no download and has learnt nothing."""
    from ultralytics import YOLO  # noqa: PLC0415  # seconds, and only here
    from ultralytics.nn.tasks import DetectionModel  # noqa: PLC0415

    folder = tmp_path_factory.mktemp("trainings") / "tiny"
    path = checkpoint(folder)
    model = YOLO("yolov8n.yaml")
    model.model = DetectionModel("yolov8n.yaml", nc=len(CLASSES), verbose=False)
    model.model.names = dict(enumerate(CLASSES))
    model.save(path)
    (folder / "recipe.json").write_text('{"weights": "yolov8n.yaml", "epochs": 0}')
    save(Manifest((entry(GOLDEN),)), folder / "manifest.json")
    return folder


@needs_torch
def test_what_sees_nothing_does_not_replace_a_model(tiny: Path, tmp_path: Path) -> None:
    out = tmp_path / "model"
    out.mkdir()
    (out / "model.json").touch()
    options = ["--name", "tiny", "--version", "1", "--wide", "96x64", "--square", "64x64", "--out", str(out)]
    result = CliRunner().invoke(main, ["export", str(tiny), *options])
    assert result.exit_code == 1
    assert "the model sees no face on the golden picture" in result.output
    assert [path.name for path in out.iterdir()] == ["model.json"]
    fresh = tmp_path / "model.part"
    card = msgspec.json.decode((fresh / "model.json").read_bytes(), type=ModelCard)
    assert card.shapes == {"wide": (96, 64), "square": (64, 64)}
    assert set(card.files) == {"fp32", "fp16", "int8"}
    provenance = export.read_provenance(fresh)
    assert provenance is not None
    assert (provenance.architecture, provenance.calibration_pictures) == ("YOLOv8n", 1)
    assert provenance.plan.history == ("`tiny`, from `yolov8n.yaml`: epochs 0",)
    # Every precision loads and runs, through both inputs.
    for precision in ("fp32", "fp16", "int8"):
        detector = Detector(fresh, DetectorSettings.model_validate({"precision": precision}))
        for shape in card.shapes:
            detector.look([GOLDEN.read_bytes()], shape)


@needs_torch
def test_a_checkpoint_that_tells_other_classes_is_refused(tmp_path: Path) -> None:
    from ultralytics import YOLO  # noqa: PLC0415

    model = YOLO("yolov8n.yaml")
    model.model.names = dict(enumerate(["mask_weared_incorrect", "with_mask", "without_mask"]))
    model.save(tmp_path / "coco.pt")
    with pytest.raises(ExportError, match=r"tells mask_weared_incorrect, with_mask, .* workers need with_mask, "):
        export.export(tmp_path / "coco.pt", [], GOLDEN, tmp_path / "model", PLAN)
    assert not (tmp_path / "model").exists()


@needs_torch
def test_a_checkpoint_is_given_away_without_the_machine_s_folders(tiny: Path, tmp_path: Path) -> None:
    import torch  # noqa: PLC0415

    from training.artefact.raw_onnx import share  # noqa: PLC0415

    trained = torch.load(tiny / export.BEST, weights_only=False)
    trained["git"] = {"root": "/home/me/maskwatch"}
    trained["train_args"] = {"model": "/home/me/start.pt", "project": "/home/me/run", "imgsz": 64}
    trained["model"].args = dict(trained["train_args"])
    torch.save(trained, tmp_path / "best.pt")
    share(tmp_path / "best.pt")
    shared = (tmp_path / "best.shared.pt").read_bytes()
    assert b"start.pt" in shared
    assert b"/home/me" not in shared
    given = torch.load(tmp_path / "best.shared.pt", weights_only=False)
    assert given["train_args"] == given["model"].args == {"model": "start.pt", "project": "run", "imgsz": 64}
    assert given["model"].state_dict().keys() == trained["model"].state_dict().keys()


@needs_torch
def test_a_checkpoint_that_is_none_is_said_so(tmp_path: Path) -> None:
    (tmp_path / "best.pt").write_bytes(b"nothing")
    with pytest.raises(ExportError, match="cannot be exported"):
        export.raw_onnx(tmp_path / "best.pt", "one-to-many")


@needs_torch
@pytest.mark.skipif(not SHARED.exists(), reason="the developers' photographs and weights are not here")
@pytest.mark.parametrize(
    ("weights", "head"),
    [
        ("yolov8n_coco_dequantised.pt", "one-to-many"),
        ("yolo26n_coco_dequantised.pt", "one-to-many"),
        ("yolo26n_coco_dequantised.pt", "end-to-end"),
    ],
)
def test_the_graph_answers_as_the_checkpoint_does_on_photographs(
    weights: str, head: export.Head, tmp_path: Path
) -> None:
    # Of COCO's classes the first three are taken, as if they were ours: what matters is that they are the same.
    import onnx  # noqa: PLC0415

    from training.artefact.serving_graph import add_serving_ends  # noqa: PLC0415

    path = tmp_path / weights
    path.write_bytes((SHARED / "weights" / weights).read_bytes())
    graph = tmp_path / "model.onnx"
    onnx.save(add_serving_ends(onnx.load(export.raw_onnx(path, head))), graph)
    shape = (384, 256)
    network = OpenVinoNetwork(graph, shape, 1)
    photographs = sorted((SHARED / "data" / "facemask-voc" / "images").iterdir())[:6]
    compared = 0
    for photograph in photographs:
        pixels, *_ = pictures.decode(photograph.read_bytes(), shape, MAX_PIXELS)
        mine = [row for row in network.run(pixels[None]) if row[5] > SEEN and row[6] < len(CLASSES)]
        theirs = _checkpoint_answers(path, head, pixels)
        assert len(mine) == len(theirs)
        for row in theirs:
            assert any(
                iou(row[1:5].tolist(), other[1:5].tolist()) > 0.97
                and abs(row[5] - other[5]) < 0.02
                and row[6] == other[6]
                for other in mine
            )
        compared += len(theirs)
    assert compared >= 5


def _checkpoint_answers(path: Path, head: export.Head, pixels: pictures.Pixels) -> list[NDArray[np.float32]]:
    """Ask the checkpoint itself, in torch, and suppress with torchvision."""
    import torch  # noqa: PLC0415
    from torchvision.ops import box_convert, nms  # noqa: PLC0415
    from ultralytics import YOLO  # noqa: PLC0415

    model = YOLO(str(path)).model.float().eval()
    model.model[-1].end2end = head == "end-to-end"
    with torch.no_grad():
        raw = model(torch.from_numpy(pixels.copy()).permute(2, 0, 1)[None].float() / 255)[0][0]
    if head == "end-to-end":
        boxes, scores, labels = raw[:, :4], raw[:, 4], raw[:, 5]
    else:
        boxes = box_convert(raw[:4].T, "cxcywh", "xyxy")
        scores, labels = raw[4 : 4 + len(CLASSES)].max(dim=0)
    kept = nms(boxes, scores, 0.5)
    rows: Rows = torch.stack(
        [torch.zeros(len(kept)), *boxes[kept].T, scores[kept], labels[kept].float()], dim=1
    ).numpy()
    return [row for row in rows if row[5] > SEEN and row[6] < len(CLASSES)]
