"""Turn a checkpoint into what workers serve: one ONNX graph with everything inside, and its INT8 form for CPUs.

The graph takes RGB bytes of any number and size and gives rows of faces: scaling to 0..1 and the suppression of
overlapping boxes are part of it, so that every runtime does them alike. A face is reported once, with its likeliest
class. The INT8 form is calibrated on train pictures, letterboxed by the very code that serves.
"""

import hashlib
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import cv2
import msgspec
import numpy as np
import onnx
import simplejpeg
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper

from maskwatch import pictures
from maskwatch.inference import Detected, Detector
from maskwatch.messages import CLASSES, DetectedFace
from maskwatch.model import FILE, Golden, ModelCard, ModelFile, ShapeName
from maskwatch.settings import PROJECT, DetectorSettings
from training.errors import ExportError
from training.manifest import Entry

SHAPES: dict[ShapeName, tuple[int, int]] = {"wide": (640, 384), "square": (640, 640)}
OPSET = 17
LOWEST_SCORE = 0.01
"""The graph's own threshold: low enough for evaluation, raised by the worker."""
OVERLAP = 0.5
MOST_FACES = 200
CALIBRATION_PICTURES = 300
MAX_PIXELS = 50_000_000


def add_serving_ends(graph: onnx.ModelProto) -> onnx.ModelProto:
    """Put bytes-to-floats before a YOLOv8 graph and non-maximum suppression behind it.

    Parameters
    ----------
    graph
        Input (n, 3, height, width) floats in 0..1, output (n, 4 + classes, anchors) with centre boxes in pixels.

    Returns
    -------
    onnx.ModelProto
        Input ``pictures`` (n, height, width, 3) uint8 RGB, output ``faces`` (k, 7) as
        :data:`maskwatch.inference.Rows` says.

    Raises
    ------
    ExportError
        If the graph is not of that form.
    """
    inner = graph.graph
    if len(inner.input) != 1 or len(inner.output) != 1:
        raise ExportError(f"expected one input and one output, found {len(inner.input)} and {len(inner.output)}")
    floats, raw = inner.input[0].name, inner.output[0].name

    def constant(name: str, value: object, kind: type) -> str:
        inner.initializer.append(numpy_helper.from_array(np.asarray(value, dtype=kind), f"serve/{name}"))
        return f"serve/{name}"

    def node(kind: str, inputs: list[str], output: str, **attributes: object) -> str:
        nodes.append(helper.make_node(kind, inputs, [output], name=f"serve/{kind}/{output}", **attributes))
        return output

    nodes: list[onnx.NodeProto] = []
    cast = node("Cast", ["pictures"], "serve/cast", to=TensorProto.FLOAT)
    planes = node("Transpose", [cast], "serve/planes", perm=[0, 3, 1, 2])
    node("Mul", [planes, constant("scale", 1 / 255, np.float32)], floats)
    before, nodes = nodes, []

    centres, scores = constant("four", [4], np.int64), constant("end", [4 + len(CLASSES)], np.int64)
    first, axis = constant("first", [0], np.int64), constant("axis", [1], np.int64)
    boxes = node("Slice", [raw, first, centres, axis], "serve/boxes")
    classes = node("Slice", [raw, centres, scores, axis], "serve/classes")
    boxes = node("Transpose", [boxes], "serve/boxes-by-anchor", perm=[0, 2, 1])
    best = node("ReduceMax", [classes], "serve/best", axes=[1], keepdims=1)
    label = node("ArgMax", [classes], "serve/label", axis=1, keepdims=0)
    kept = node(
        "NonMaxSuppression",
        [
            boxes,
            best,
            constant("most", [MOST_FACES], np.int64),
            constant("overlap", [OVERLAP], np.float32),
            constant("lowest", [LOWEST_SCORE], np.float32),
        ],
        "serve/kept",
        center_point_box=1,
    )
    where = node("Gather", [kept, constant("batch-and-anchor", [0, 2], np.int64)], "serve/where", axis=1)
    box = node("GatherND", [boxes, where], "serve/box")
    flat = node("Squeeze", [best, axis], "serve/best-flat")
    score = node("Unsqueeze", [node("GatherND", [flat, where], "serve/score-flat"), axis], "serve/score")
    kind = node("Cast", [node("GatherND", [label, where], "serve/kind-flat")], "serve/kind-float", to=TensorProto.FLOAT)
    kind = node("Unsqueeze", [kind, axis], "serve/kind")
    two = constant("two", [2], np.int64)
    centre = node("Slice", [box, first, two, axis], "serve/centre")
    size = node("Slice", [box, two, centres, axis], "serve/size")
    half = node("Mul", [size, constant("half", 0.5, np.float32)], "serve/half-size")
    corners = [node("Sub", [centre, half], "serve/top-left"), node("Add", [centre, half], "serve/bottom-right")]
    picture = node("Gather", [kept, constant("batch", [0], np.int64)], "serve/picture", axis=1)
    picture = node("Cast", [picture], "serve/picture-float", to=TensorProto.FLOAT)
    node("Concat", [picture, *corners, score, kind], "faces", axis=1)

    everything = [*before, *inner.node, *nodes]
    del inner.node[:]
    inner.node.extend(everything)
    del inner.input[:]
    inner.input.append(helper.make_tensor_value_info("pictures", TensorProto.UINT8, ["n", "height", "width", 3]))
    del inner.output[:]
    inner.output.append(helper.make_tensor_value_info("faces", TensorProto.FLOAT, ["faces", 7]))
    onnx.checker.check_model(graph)
    return graph


def quantise(graph: Path, entries: list[Entry], target: Path) -> None:
    """Write the INT8 form of a served graph, calibrated on pictures as they are served.

    Parameters
    ----------
    graph
        What :func:`add_serving_ends` made, as a file.
    entries
        Train pictures; as many as :data:`CALIBRATION_PICTURES` are taken, evenly.
    target
        The ``.xml`` to write; ``.bin`` comes beside it.
    """
    import nncf  # noqa: PLC0415  # seconds to import, and only for this
    import openvino  # noqa: PLC0415

    step = max(1, len(entries) // CALIBRATION_PICTURES)

    def calibration() -> Iterator[NDArray[np.uint8]]:
        for number, entry in enumerate(entries[::step][:CALIBRATION_PICTURES]):
            shape = SHAPES["wide" if number % 2 else "square"]
            pixels, *_ = pictures.decode(as_jpeg(Path(entry.path)), shape, MAX_PIXELS)
            yield pixels[None]

    model = openvino.Core().read_model(graph)
    quantised = nncf.quantize(
        model,
        nncf.Dataset(list(calibration())),
        preset=nncf.QuantizationPreset.MIXED,
        subset_size=CALIBRATION_PICTURES,
        # Boxes and scores are worked out in floating point: INT8 there costs accuracy and saves nothing.
        ignored_scope=nncf.IgnoredScope(
            patterns=[
                ".*serve/.*",
                *(f".*model\\.22/.*{kind}.*" for kind in ("Add", "Sub", "Mul", "Div", "dfl", "Sigmoid")),
            ],
            validate=False,
        ),
    )
    openvino.save_model(quantised, target, compress_to_fp16=True)


def as_jpeg(path: Path) -> bytes:
    """Return a picture's bytes as a worker would get them: a JPEG as it is, anything else encoded at quality 95."""
    if path.suffix.lower() in {".jpg", ".jpeg"}:
        return path.read_bytes()
    image = cv2.imread(str(path))
    jpeg: bytes = simplejpeg.encode_jpeg(np.ascontiguousarray(image), 95, "BGR", "420")
    return jpeg


def export(  # noqa: PLR0913  # named
    checkpoint: Path, entries: list[Entry], golden: Path, folder: Path, *, name: str, version: str
) -> ModelCard:
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
        Written anew.
    name, version
        What detections will say.

    Raises
    ------
    ExportError
        If the golden picture shows no face to the model.
    ModelError
        If INT8 does not answer as FP32 does.
    """
    raw = _raw_onnx(checkpoint)
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    onnx.save(add_serving_ends(onnx.load(raw)), folder / "model.onnx")
    quantise(folder / "model.onnx", entries, folder / "model-int8.xml")
    shutil.copyfile(golden, folder / "golden.jpg")
    card = ModelCard(
        name=name,
        version=version,
        classes=CLASSES,
        shapes=SHAPES,
        files={
            "fp32": ModelFile("model.onnx", _sha256(folder / "model.onnx")),
            "int8": ModelFile(
                "model-int8.xml",
                _sha256(folder / "model-int8.xml"),
                {"model-int8.bin": _sha256(folder / "model-int8.bin")},
            ),
        },
        golden=Golden("golden.jpg", _sha256(folder / "golden.jpg"), {}),
    )
    _write(card, folder)
    reference = Detector(folder, DetectorSettings(precision="fp32"))
    faces: dict[ShapeName, tuple[DetectedFace, ...]] = {}
    for shape in SHAPES:
        (answer,) = reference.look([golden.read_bytes()], shape)
        if not isinstance(answer, Detected) or not answer.faces:
            raise ExportError(f"the model sees no face on the golden picture {golden} ({shape}): {answer}")
        faces[shape] = answer.faces
    card = msgspec.structs.replace(card, golden=msgspec.structs.replace(card.golden, faces=faces))
    _write(card, folder)
    for precision in ("fp32", "int8"):
        for shape in SHAPES:
            Detector(folder, DetectorSettings(precision=precision)).check_golden(shape)
    return card


def _write(card: ModelCard, folder: Path) -> None:
    (folder / FILE).write_bytes(msgspec.json.format(msgspec.json.encode(card)) + b"\n")


def _raw_onnx(checkpoint: Path) -> Path:
    # In a process of its own: torch's exporter leaves gigabytes behind that the calibration needs.
    code = (
        "import sys; from training import train; from ultralytics import YOLO; "
        f"YOLO(sys.argv[1]).export(format='onnx', dynamic=True, simplify=False, opset={OPSET}, device='cpu')"
    )
    subprocess.run([sys.executable, "-c", code, str(checkpoint.resolve())], check=True, timeout=1800, cwd=PROJECT)  # noqa: S603  # ours
    return checkpoint.with_suffix(".onnx")


def _sha256(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()
