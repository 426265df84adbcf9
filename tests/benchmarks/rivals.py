"""Ultralytics on the same pictures, where it is installed. ``python -m tests.benchmarks.rivals KIND FILE SECONDS``.

KIND is ``torch``, its own default, or ``openvino``, on the very file that our workers serve, cut where Ultralytics
wants to begin and end: floats in, boxes before the suppression out. Both get the JPEGs from a folder, as
`predict(stream=True)` takes them, and both cores. Torch runs the same architecture; the weights are those of a
checkpoint if one is named in BENCH_CHECKPOINT, else random, which finds no faces and so costs it less. Prints one JSON
line.
"""

import json
import os
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from maskwatch.messages import CLASSES
from maskwatch.model import read_card
from maskwatch.settings import Settings
from tests.benchmarks.material import recorded_jpegs

WARM_UP_S = 3.0
THREADS = 2


def predict(model: Any, folder: Path, shape: tuple[int, int], score: float, seconds: float) -> float:  # noqa: ANN401
    """Return pictures a second of `predict(stream=True)`, over and over the folder."""
    import torch  # noqa: PLC0415  # not in the environment for development

    options = {"stream": True, "imgsz": (shape[1], shape[0]), "conf": score, "device": "cpu", "verbose": False}
    torch.set_num_threads(THREADS)
    began, done = None, 0
    start = time.perf_counter()
    while True:
        for _ in model.predict(str(folder), **options):
            # It sets its own number of threads when it begins.
            if torch.get_num_threads() != THREADS:
                torch.set_num_threads(THREADS)
            now = time.perf_counter()
            if began is None:
                if now - start > WARM_UP_S:
                    began = now
                continue
            done += 1
            if now - began > seconds:
                return done / (now - began)


def torch_model(folder: Path) -> Any:  # noqa: ANN401  # Ultralytics ships no types
    """Return the same architecture in torch."""
    from ultralytics import YOLO  # noqa: PLC0415

    checkpoint = os.environ.get("BENCH_CHECKPOINT")
    if checkpoint:
        return YOLO(checkpoint)
    file = folder / "yolov8n.yaml"
    file.write_text(_architecture())
    return YOLO(str(file), task="detect")


def _architecture() -> str:
    from ultralytics.utils import ROOT, YAML  # noqa: PLC0415

    tree = YAML.load(ROOT / "cfg/models/v8/yolov8.yaml")
    tree.update(nc=len(CLASSES), scale="n")
    return json.dumps(tree)


def openvino_model(folder: Path, shape: tuple[int, int]) -> Any:  # noqa: ANN401
    """Write our served file in the form that Ultralytics expects, and open it with Ultralytics."""
    import openvino  # noqa: PLC0415
    from ultralytics import YOLO  # noqa: PLC0415

    settings = Settings().detector
    served = settings.model / read_card(settings.model).files["int8"].path
    graph = openvino.Core().read_model(served)
    graph.reshape([1, shape[1], shape[0], 3])
    nodes = {node.get_friendly_name(): node for node in graph.get_ordered_ops()}
    floats = openvino.opset13.parameter([1, 3, shape[1], shape[0]], openvino.Type.f32, name="images")
    for target in nodes["images"].output(0).get_target_inputs():
        target.replace_source_output(floats.output(0))
    raw = nodes["serve/Slice/boxes"].input_value(0)
    cut = openvino.Model([openvino.opset13.result(raw)], [floats], "cut")
    target_folder = folder / "model_openvino_model"
    target_folder.mkdir()
    openvino.save_model(cut, target_folder / "model.xml", compress_to_fp16=True)
    (target_folder / "metadata.yaml").write_text(
        json.dumps(
            {
                "task": "detect",
                "stride": 32,
                "batch": 1,
                "imgsz": [shape[1], shape[0]],
                "channels": 3,
                "names": dict(enumerate(CLASSES)),
                "args": {"batch": 1, "dynamic": False, "nms": False, "int8": True},
            }
        )
    )
    return YOLO(str(target_folder), task="detect")


def main() -> None:
    """Enter from the command line."""
    os.environ.update(YOLO_OFFLINE="1", YOLO_AUTOINSTALL="0", YOLO_VERBOSE="False")
    kind, file, seconds = sys.argv[1], Path(sys.argv[2]), float(sys.argv[3])
    settings = Settings().detector
    shape = read_card(settings.model).shapes["wide"]
    with tempfile.TemporaryDirectory() as made:
        folder = Path(made)
        pictures = folder / "pictures"
        pictures.mkdir()
        for number, jpeg in enumerate(recorded_jpegs(file)):
            (pictures / f"{number:04}.jpg").write_bytes(jpeg)
        model = torch_model(folder) if kind == "torch" else openvino_model(folder, shape)
        print(json.dumps({"rate": predict(model, pictures, shape, settings.score, seconds)}))  # noqa: T201


if __name__ == "__main__":
    main()
