import asyncio
import hashlib
import json
import shutil
import threading
import time
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
import structlog
from pydantic import ValidationError

from maskwatch import kafka
from maskwatch.boxes import iou
from maskwatch.errors import ModelError, StuckError
from maskwatch.inference import (
    Calibration,
    Detected,
    Detector,
    Refused,
    read_rows,
    same_faces,
)
from maskwatch.messages import DetectedFace
from maskwatch.model import ShapeName, read_card
from maskwatch.pictures import letterbox
from maskwatch.precision import choose_precision
from maskwatch.settings import MODELS, DetectorSettings, Settings

MODEL = Settings().detector.model
GOLDEN = (MODEL / read_card(MODEL).golden.path).read_bytes()
VARIANTS = [
    DetectorSettings(precision="int8"),
    DetectorSettings(precision="fp32"),
    DetectorSettings(runtime="onnxruntime"),
]


@pytest.fixture(params=VARIANTS, ids=["openvino-int8", "openvino-fp32", "onnxruntime"])
def detector(request: pytest.FixtureRequest) -> Detector:
    return Detector(MODEL, request.param)


@pytest.fixture
def copy(tmp_path: Path) -> Path:
    return Path(shutil.copytree(MODEL, tmp_path / "model"))


@pytest.mark.parametrize(
    ("model", "options"),
    [
        (path.parent.name, options)
        for path in sorted(MODELS.glob("*/model.json"))
        for options in (
            *({"precision": precision} for precision in read_card(path.parent).files),
            {"runtime": "onnxruntime"},
        )
    ],
    ids=str,
)
def test_every_model_sees_on_its_golden_picture_what_the_export_saw(model: str, options: dict[str, str]) -> None:
    detector = Detector(MODELS / model, DetectorSettings.model_validate(options))
    detector.check_golden("wide")
    detector.check_golden("square")


async def test_outcomes_come_in_order_and_a_bad_picture_harms_no_neighbour(detector: Detector) -> None:
    outcomes = await detector.detect([GOLDEN, b"", GOLDEN, GOLDEN[:3000], GOLDEN], "wide")
    good = [outcome for outcome in outcomes if isinstance(outcome, Detected)]
    assert [isinstance(outcome, Refused) for outcome in outcomes] == [False, True, False, True, False]
    assert good[0] == good[1] == good[2]
    assert good[0].faces


async def test_many_callers_at_once_get_their_own_answers(detector: Detector) -> None:
    answers = await asyncio.gather(*(detector.detect([GOLDEN] * n, "wide") for n in (1, 3, 2)))
    assert [len(answer) for answer in answers] == [1, 3, 2]
    assert len({outcome for answer in answers for outcome in answer}) == 1


async def test_inference_that_hangs_is_warned_about_and_then_given_up() -> None:
    released = threading.Event()

    class Hanging(Detector):
        def look(self, jpegs: Sequence[bytes], shape: ShapeName) -> list[Detected | Refused]:
            released.wait(30)
            return super().look(jpegs, shape)

    detector = Hanging(MODEL, DetectorSettings(stuck_after_s=1.5))
    detector.load("wide")
    began = time.monotonic()
    with structlog.testing.capture_logs() as logs, pytest.raises(StuckError, match=r"2 wide pictures for 1\.5 s"):
        await detector.detect([GOLDEN] * 2, "wide")
    assert time.monotonic() - began == pytest.approx(1.5, abs=0.5)
    assert [(line["event"], line["log_level"]) for line in logs] == [("inference takes long", "warning")]
    released.set()
    assert len(await detector.detect([GOLDEN], "wide")) == 1


def test_a_stuck_worker_ends_before_its_group_gives_it_up() -> None:
    with pytest.raises(ValidationError, match="less than 60"):
        DetectorSettings(stuck_after_s=kafka.MAX_POLL_INTERVAL_MS / 1000)


def test_calibration_says_how_many_cameras(detector: Detector) -> None:
    measured = detector.calibrate(0.2)
    assert measured.frames_per_second > 0
    said = Calibration(41.3, "int8", "openvino").sentence()
    assert said == "INT8 · 41 frames/s on this machine: room for 8 cameras at 5 frames/s"
    assert "room for 1 camera at" in Calibration(9.9, "fp32", "openvino").sentence()


def test_precision_follows_the_setting_and_the_runtime() -> None:
    assert Detector(MODEL, DetectorSettings(precision="int8")).precision == "int8"
    assert Detector(MODEL, DetectorSettings(precision="fp32")).precision == "fp32"
    assert Detector(MODEL, DetectorSettings(runtime="onnxruntime", precision="int8")).precision == "fp32"
    auto = Detector(MODEL, DetectorSettings())
    assert auto.ref.sha256 == auto.card.files[auto.precision].identity


def test_a_precision_that_a_model_lacks_is_refused_unless_it_may_be_chosen(copy: Path) -> None:
    card = json.loads((copy / "model.json").read_bytes())
    del card["files"]["fp16"]
    (copy / "model.json").write_text(json.dumps(card))
    with pytest.raises(ModelError, match=r"no fp16 file, only fp32, int8: set detector\.precision"):
        Detector(copy, DetectorSettings(precision="fp16"))
    assert choose_precision(DetectorSettings(precision="auto"), {"fp32"}) == "fp32"
    for flags, there, chosen in (
        ({"avx512_vnni", "avx512_bf16"}, {"fp32", "fp16", "int8"}, "int8"),
        ({"avx512_vnni", "avx512_bf16"}, {"fp32", "fp16"}, "fp16"),
        ({"avx512_vnni"}, {"fp32", "fp16"}, "fp32"),
        ({"avx2"}, {"fp32", "fp16", "int8"}, "fp32"),
    ):
        assert choose_precision(DetectorSettings(precision="auto"), there, flags) == chosen  # type: ignore[arg-type]
    assert choose_precision(DetectorSettings(precision="fp16"), {"fp32", "fp16"}) == "fp16"
    assert choose_precision(DetectorSettings(runtime="onnxruntime", precision="fp16"), {"fp32", "fp16"}) == "fp32"


def test_an_altered_file_is_refused_before_it_is_loaded(copy: Path) -> None:
    weights = copy / "model-int8.bin"
    weights.write_bytes(weights.read_bytes()[:-1] + b"!")
    with pytest.raises(ModelError, match=r"model-int8\.bin was altered"):
        Detector(copy, DetectorSettings(precision="int8"))


def test_a_missing_file_is_named(copy: Path) -> None:
    (copy / "model.onnx").unlink()
    with pytest.raises(ModelError, match=r"model\.onnx cannot be read"):
        Detector(copy, DetectorSettings(precision="fp32"))


def test_bytes_that_the_runtime_refuses_are_said_so(copy: Path) -> None:
    (copy / "model.onnx").write_bytes(b"no graph")
    card = json.loads((copy / "model.json").read_text())
    card["files"]["fp32"]["sha256"] = hashlib.sha256(b"no graph").hexdigest()
    (copy / "model.json").write_text(json.dumps(card))
    with pytest.raises(ModelError, match="cannot be loaded by openvino"):
        Detector(copy, DetectorSettings(precision="fp32")).load("wide")


def test_a_wrong_answer_on_the_golden_picture_is_refused(copy: Path) -> None:
    card = json.loads((copy / "model.json").read_text())
    for face in card["golden"]["faces"]["wide"]:
        face["label"] = "mask_weared_incorrect" if face["label"] != "mask_weared_incorrect" else "with_mask"
    (copy / "model.json").write_text(json.dumps(card))
    for score in (0.4, 0.95):  # a worker that reports little checks as much
        with pytest.raises(ModelError, match="answers wrongly on its golden picture"):
            Detector(copy, DetectorSettings(score=score)).check_golden("wide")


def test_a_provider_that_is_not_there_is_named() -> None:
    settings = DetectorSettings(runtime="onnxruntime", providers=("TensorrtExecutionProvider", "CUDAExecutionProvider"))
    with pytest.raises(ModelError, match="has no TensorrtExecutionProvider"):
        Detector(MODEL, settings).load("wide")


def test_rows_become_faces_best_first_in_0_to_1_of_the_picture() -> None:
    affine = letterbox((1280, 720), (640, 384))
    rows = np.array(
        [[0, 64, 48, 128, 120, 0.5, 1], [0, 0, 12, 640, 372, 0.9, 0], [0, 1, 1, 2, 2, 0.39, 2]], dtype=np.float32
    )
    assert read_rows(rows, (1280, 720), affine, 0.4) == (
        DetectedFace("with_mask", 0.9, (0.0, 0.0, 1.0, 1.0)),
        DetectedFace("without_mask", 0.5, (0.1, 0.1, 0.2, 0.3)),
    )


@pytest.mark.parametrize(
    ("first", "second", "expected"),
    [((0, 0, 1, 1), (0, 0, 1, 1), 1.0), ((0, 0, 1, 1), (1, 0, 2, 1), 0.0), ((0, 0, 2, 1), (1, 0, 2, 1), 0.5)],
)
def test_overlap(first: tuple[int, ...], second: tuple[int, ...], expected: float) -> None:
    assert iou(first, second) == expected


def test_answers_are_the_same_apart_from_faces_near_the_threshold() -> None:
    face = DetectedFace("with_mask", 0.9, (0.1, 0.1, 0.3, 0.3))
    near = DetectedFace("without_mask", 0.45, (0.6, 0.6, 0.7, 0.7))
    other = DetectedFace("without_mask", 0.9, (0.1, 0.1, 0.3, 0.3))
    assert same_faces([face, near], [face], 0.4)
    assert not same_faces([face], [other], 0.4)
    assert not same_faces([face], [], 0.4)
    assert not same_faces([], [face], 0.4)


def test_the_surest_face_must_be_answered_however_sure_it_is() -> None:
    doubtful = DetectedFace("with_mask", 0.55, (0.1, 0.1, 0.3, 0.3))
    less = DetectedFace("with_mask", 0.38, (0.1, 0.1, 0.3, 0.3))
    assert same_faces([doubtful], [less], 0.4)
    assert not same_faces([doubtful], [], 0.4)
