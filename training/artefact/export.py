"""Turn a checkpoint into what workers serve: a folder with its graph at every precision, and what it must answer.

FP32 is one ONNX graph with any number and size of pictures, which OpenVINO and ONNX Runtime both read; FP16 and INT8
are OpenVINO's, or FP16 is FP32's graph where that stores its weights in half precision. The folder is made beside the
old one and takes its place only when every file answers the golden picture as FP32 does.
"""

import ast
import hashlib
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Literal

import msgspec
import numpy as np
import onnx
from numpy.typing import NDArray

from maskwatch.inference import GOLDEN_FROM, Detected, Detector
from maskwatch.messages import CLASSES, DetectedFace
from maskwatch.model import FILE, Golden, ModelCard, ModelFile, Precision, ShapeName
from maskwatch.published import CHECKPOINT
from maskwatch.settings import PROJECT, DetectorSettings
from training.artefact.exported import PROVENANCE
from training.artefact.quantise import calibration, quantise
from training.artefact.serving_graph import add_serving_ends, notes, with_half_weights
from training.datasets.manifest import Entry, load
from training.errors import ExportError

SHAPES: dict[ShapeName, tuple[int, int]] = {"wide": (640, 384), "square": (640, 640)}
STRIDE = 32
"""Sides of an input are multiples of it, or the graph's layers do not fit together."""
LIMIT_S = 1800
BEST = Path("run/weights/best.pt")
"""Where a training keeps its best checkpoint."""

Head = Literal["one-to-many", "end-to-end"]


class Plan(msgspec.Struct, frozen=True):
    """How a checkpoint is exported."""

    name: str
    version: str
    """Name and version are what detections will say."""
    shapes: dict[ShapeName, tuple[int, int]] = msgspec.field(default_factory=lambda: dict(SHAPES))
    precisions: tuple[Precision, ...] = ("fp32", "fp16", "int8")
    """FP32 is always among them: the others are held against it."""
    head: Head = "one-to-many"
    """Which of YOLO26's two heads; YOLOv8 has the first only."""
    head_in_floats: bool = False
    """Leave the head's convolutions out of INT8."""
    half_weights: bool = False
    """Store the weights of FP32 in half precision, and let FP16 read the same file: a third of the size."""
    data: str = ""
    """SHA-256 of the manifest that it was trained on."""
    history: tuple[str, ...] = ()
    """How it was trained, one sentence a training; for the card."""


class Provenance(msgspec.Struct, frozen=True):
    """Where an exported model came from: ``provenance.json`` beside it."""

    checkpoint_sha256: str
    architecture: str
    """As Ultralytics calls it, such as YOLOv8n."""
    calibration_pictures: int
    plan: Plan


def export(checkpoint: Path, entries: Sequence[Entry], golden: Path, folder: Path, plan: Plan) -> ModelCard:
    """Export a checkpoint into a folder that workers can serve.

    Parameters
    ----------
    checkpoint
        What training gave.
    entries
        Train pictures, for calibration.
    golden
        A JPEG with faces on it; the FP32 answer becomes what every later load must see.
    folder
        Replaced once everything is right; left alone if anything is not.
    plan
        How.

    Raises
    ------
    ExportError
        If the golden picture shows no face to the model, a shape does not fit, the checkpoint has other classes,
        Ultralytics cannot export, or the folder is there and holds something else than a model.
    ModelError
        If a precision does not answer as FP32 does.
    """
    _check(plan)
    _check_target(folder)
    with tempfile.TemporaryDirectory(prefix="maskwatch-") as work:
        # What Ultralytics writes beside a checkpoint is three times as large, and nobody's where that lies.
        copy = Path(work) / checkpoint.name
        shutil.copyfile(checkpoint, copy)
        graph = onnx.load(raw_onnx(copy, plan.head))
        _check_classes(checkpoint, notes(graph))
        described = notes(graph).get("description", "").removeprefix("Ultralytics ").partition(" model ")[0]
        # Checkpoints of older versions do not know their kind; Ultralytics says the name of the file then.
        architecture = described if described.startswith("YOLO") else "YOLO"
        batches = calibration(entries, plan.shapes) if "int8" in plan.precisions else []
        provenance = Provenance(_sha256(checkpoint), architecture, len(batches), plan)
        shared = copy.with_suffix(".shared.pt")
        return assemble(add_serving_ends(graph), batches, golden, folder, provenance, checkpoint=shared)


def assemble(  # noqa: PLR0913  # what a folder is made of
    graph: onnx.ModelProto,
    batches: Sequence[NDArray[np.uint8]],
    golden: Path,
    folder: Path,
    provenance: Provenance,
    *,
    checkpoint: Path | None = None,
) -> ModelCard:
    """Make the folder of a served graph: every precision, the golden answer, and where it came from.

    Parameters
    ----------
    graph
        What :func:`training.artefact.serving_graph.add_serving_ends` made.
    batches
        Pictures that INT8 is calibrated on, if the plan asks for it.
    golden, folder
        As for :func:`export`, which raises the same errors.
    provenance
        Written beside the model; its plan says what is made.
    checkpoint
        Put beside the model: what a later training begins with. Nothing that serves reads it.
    """
    _check_target(folder)
    plan, folder = provenance.plan, folder.resolve()
    fresh = folder.with_name(f"{folder.name}.part")
    shutil.rmtree(fresh, ignore_errors=True)
    fresh.mkdir(parents=True)
    onnx.save(graph, fresh / "model.onnx")
    if "int8" in plan.precisions:
        quantise(fresh / "model.onnx", batches, fresh / "model-int8.xml", head_in_floats=plan.head_in_floats)
    # Only now: INT8 is made of the weights as they are.
    if plan.half_weights:
        onnx.save(with_half_weights(graph), fresh / "model.onnx")
    files: dict[Precision, ModelFile] = {"fp32": ModelFile("model.onnx", _sha256(fresh / "model.onnx"))}
    if "fp16" in plan.precisions:
        files["fp16"] = files["fp32"] if plan.half_weights else _halve(fresh)
    if "int8" in plan.precisions:
        files["int8"] = _openvino_file(fresh, "model-int8")
    shutil.copyfile(golden, fresh / "golden.jpg")
    _write(provenance, fresh / PROVENANCE)
    card = ModelCard(
        name=plan.name,
        version=plan.version,
        classes=CLASSES,
        shapes=plan.shapes,
        files=files,
        golden=Golden("golden.jpg", _sha256(fresh / "golden.jpg"), {}),
    )
    card = _with_golden_answer(card, fresh)
    if checkpoint is not None:
        shutil.copyfile(checkpoint, fresh / CHECKPOINT)
    shutil.rmtree(folder, ignore_errors=True)
    fresh.replace(folder)
    return card


def raw_onnx(checkpoint: Path, head: Head) -> Path:
    """Let Ultralytics export a checkpoint, in a process of its own.

    Returns
    -------
    Path
        The graph, beside the checkpoint, as is its copy without the machine's paths.

    Raises
    ------
    ExportError
        If it fails, or takes longer than half an hour.
    """
    command = [sys.executable, "-m", "training.artefact.raw_onnx", str(checkpoint.resolve()), head]
    try:
        subprocess.run(command, check=True, timeout=LIMIT_S, cwd=PROJECT)  # noqa: S603  # ours
    except (subprocess.CalledProcessError, subprocess.TimeoutExpired) as error:
        raise ExportError(f"{checkpoint} cannot be exported: {error}") from error
    return checkpoint.with_suffix(".onnx")


def read_provenance(folder: Path) -> Provenance | None:
    """Read where a model came from; None for one that was exported before that was kept."""
    file = folder / PROVENANCE
    return msgspec.json.decode(file.read_bytes(), type=Provenance) if file.exists() else None


def _check(plan: Plan) -> None:
    for name, sides in plan.shapes.items():
        if any(side < STRIDE or side % STRIDE for side in sides):
            raise ExportError(f"the {name} input is {sides[0]}x{sides[1]}: both sides must be multiples of {STRIDE}")
    if missing := {"wide", "square"} - set(plan.shapes):
        raise ExportError(f"workers need both inputs; {', '.join(sorted(missing))} is missing")
    if "fp32" not in plan.precisions:
        raise ExportError("FP32 cannot be left out: every other precision is held against it")


def _check_target(folder: Path) -> None:
    """Refuse to replace anything but a model, an empty folder or nothing."""
    if folder.is_file() or (folder.is_dir() and any(folder.iterdir()) and not (folder / FILE).exists()):
        raise ExportError(f"{folder} is there and no model, and would be replaced: name another folder with --out")


def _check_classes(checkpoint: Path, noted: Mapping[str, str]) -> None:
    names = ast.literal_eval(noted["names"])  # Ultralytics prints a dict
    if names != dict(enumerate(CLASSES)):
        raise ExportError(
            f"{checkpoint} tells {', '.join(map(str, names.values()))} apart, in this order; "
            f"workers need {', '.join(CLASSES)}: train from it with «maskwatch train»"
        )


def _halve(folder: Path) -> ModelFile:
    import openvino  # noqa: PLC0415  # a second to import, and only for this

    openvino.save_model(
        openvino.Core().read_model(folder / "model.onnx"), folder / "model-fp16.xml", compress_to_fp16=True
    )
    return _openvino_file(folder, "model-fp16")


def _with_golden_answer(card: ModelCard, folder: Path) -> ModelCard:
    """Let FP32 look at the golden picture, write down what it saw, and hold every precision against it."""
    _write(card, folder / FILE)
    reference = Detector(folder, DetectorSettings(precision="fp32", score=GOLDEN_FROM))
    faces: dict[ShapeName, tuple[DetectedFace, ...]] = {}
    for shape in card.shapes:
        (answer,) = reference.look([(folder / card.golden.path).read_bytes()], shape)
        if not isinstance(answer, Detected) or not answer.faces:
            raise ExportError(f"the model sees no face on the golden picture ({shape}): {answer}; left in {folder}")
        faces[shape] = answer.faces
    reference.close()
    card = msgspec.structs.replace(card, golden=msgspec.structs.replace(card.golden, faces=faces))
    _write(card, folder / FILE)
    for precision in card.files:
        detector = Detector(folder, DetectorSettings(precision=precision))
        for shape in card.shapes:
            detector.check_golden(shape)
        detector.close()
    return card


def _openvino_file(folder: Path, stem: str) -> ModelFile:
    return ModelFile(f"{stem}.xml", _sha256(folder / f"{stem}.xml"), {f"{stem}.bin": _sha256(folder / f"{stem}.bin")})


def _write(what: msgspec.Struct, file: Path) -> None:
    file.write_bytes(msgspec.json.format(msgspec.json.encode(what)) + b"\n")


def _sha256(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


def command(training: Path, manifest: Path | None, golden: Path, out: Path, options: Mapping[str, Any]) -> str:
    """Export for ``maskwatch export``, and say in one line what was made.

    Parameters
    ----------
    training
        A checkpoint, or the folder of a training.
    manifest
        The data; None for the training's own.
    golden, out
        The golden picture, and the model's folder.
    options
        What the command line took.

    Raises
    ------
    ExportError
        If there is no checkpoint or no manifest, or the export fails.
    """
    checkpoint = training / BEST if training.is_dir() else training
    if not checkpoint.is_file():
        raise ExportError(f"{training} holds no checkpoint at {BEST}: has its training finished an epoch?")
    run = _run_of(checkpoint)
    if manifest is None and run is None:
        raise ExportError(f"{checkpoint} does not lie in a training's folder: name its data with --manifest")
    data = load(manifest or run / "manifest.json")  # type: ignore[operator]  # one of the two is there
    plan = Plan(
        name=options["name"],
        version=options["version"],
        shapes={"wide": options["wide"], "square": options["square"]},
        precisions=options["precisions"],
        head="end-to-end" if options["end_to_end"] else "one-to-many",
        head_in_floats=options["head_in_floats"],
        half_weights=options["half_weights"],
        data=data.sha256,
        history=history(checkpoint),
    )
    card = export(checkpoint, data.part("train"), golden, out, plan)
    return (
        f"{card.name} {card.version} at {', '.join(card.files)} is in {out}; judge it with «maskwatch evaluate {out}»"
    )


def history(checkpoint: Path) -> tuple[str, ...]:
    """Tell how a checkpoint was trained, by the recipes that lie with it and with the checkpoints it started from.

    Where it started from an exported model's checkpoint, what that model's provenance tells comes before.

    Returns
    -------
    tuple of str
        One sentence a training, the first one first; empty for a checkpoint without a recipe.
    """
    sentences: list[str] = []
    seen: set[Path] = set()
    while (run := _run_of(checkpoint)) is not None and run not in seen:
        seen.add(run)
        recipe = msgspec.json.decode((run / "recipe.json").read_bytes())
        start = Path(recipe["weights"])
        known_as = f"`{start.name}`"
        if (before := _run_of(start)) is not None:
            known_as = f"the best of `{before.name}`"
        elif (model := _model_of(start)) is not None:
            known_as = f"`{model.plan.name}` {model.plan.version}"
        # What is as always is not written down, so a zero there is somebody's choice.
        told = {name: value for name, value in recipe.items() if name != "weights"}
        sentences.append(
            f"`{run.name}`, from {known_as}: " + ", ".join(f"{name} {_plain(value)}" for name, value in told.items())
        )
        checkpoint = start
    exported = _model_of(checkpoint)
    return (*(exported.plan.history if exported else ()), *reversed(sentences))


def _model_of(checkpoint: Path) -> Provenance | None:
    """Return where the exported model came from that a checkpoint lies in; None if it lies in none."""
    return read_provenance(checkpoint.parent) if checkpoint.name == CHECKPOINT else None


def _plain(value: object) -> str:
    # A path says where this machine keeps things; its last part is what it is.
    if isinstance(value, str):
        return Path(value).name
    if isinstance(value, dict):
        return " and ".join(f"{name} {number}" for name, number in value.items())
    return " and ".join(map(str, value)) if isinstance(value, list) else str(value)


def _run_of(checkpoint: Path) -> Path | None:
    """Return the folder of the training that a checkpoint lies in."""
    folder = checkpoint.parent.parent.parent
    return (
        folder if checkpoint == folder / BEST.parent / checkpoint.name and (folder / "recipe.json").exists() else None
    )
