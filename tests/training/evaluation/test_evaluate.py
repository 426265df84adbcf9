"""Evaluation of the shipped model on the scene's pictures, on which it knows every face."""

import importlib.util
import json
import shutil
from pathlib import Path

import cv2
import msgspec
import numpy as np
import pytest
from click.testing import CliRunner

from maskwatch.annotations import annotations, pictures_by_stem, read_annotation
from maskwatch.cli import main
from maskwatch.errors import ModelError
from maskwatch.messages import CLASSES, MarkedFace
from maskwatch.settings import Settings
from producers.drawn import write_voc
from training.datasets.manifest import Entry, Manifest, save
from training.errors import EvaluationError
from training.evaluation import answers, drawing, footprint, report
from training.evaluation.evaluate import Request, evaluate
from training.evaluation.sightings import sightings
from training.evaluation.views import pasted, plain

MODEL = Settings().detector.model
COUNT = 12
pytestmark = pytest.mark.timeout(600)  # some 25 s of a core, which a busy machine may not have


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Manifest:
    """Draw people, and call half of them another source."""
    folder = tmp_path_factory.mktemp("data") / "drawn"
    write_voc(folder, COUNT, 5)
    pictures = pictures_by_stem(folder)
    entries = []
    for number, file in enumerate(annotations(folder)):
        told = read_annotation(file)
        width, height = int(told.width), int(told.height)
        sides = (width, height, width, height)
        faces = tuple(
            MarkedFace(CLASSES[CLASSES.index(name)], tuple(x / side for x, side in zip(box, sides, strict=True)))  # type: ignore[arg-type]
            for name, box in told.objects
        )
        source = "drawn" if number % 2 else "people"
        path = str(pictures[file.stem])
        entries.append(Entry(f"{number:064x}", path, source, width, height, f"{number}", "test", faces))
    return Manifest(tuple(entries))


def without(folder: Path, *precisions: str) -> Path:
    """Make a model that lacks precisions."""
    shutil.copytree(MODEL, folder)
    said = json.loads((folder / "model.json").read_bytes())
    for precision in precisions:
        del said["files"][precision]
    (folder / "model.json").write_text(json.dumps(said))
    return folder


@pytest.fixture(scope="module")
def found(data: Manifest, tmp_path_factory: pytest.TempPathFactory) -> tuple[report.Report, Path]:
    out = tmp_path_factory.mktemp("out")
    request = Request(
        out=out,
        shapes=("wide",),
        changes=("noisy",),
        angles=(30,),
        sides=(12, 96),
        against=MODEL,
        precisions=("fp32", "int8"),
    )
    return evaluate(MODEL, data, request), out


def test_sources_are_judged_one_by_one_and_together_at_each_precision(found: tuple[report.Report, Path]) -> None:
    titles = [one.title for one in found[0].sets]
    assert titles == [f"{source}, wide, {p}" for p in ("fp32", "int8") for source in ("drawn", "people", "all")]
    counts = [one.figures.pictures for one in found[0].sets[:3]]
    assert counts == [COUNT // 2, COUNT // 2, COUNT]


def test_a_model_that_knows_the_pictures_scores_high(found: tuple[report.Report, Path]) -> None:
    everything = found[0].sets[2]
    assert everything.figures.map50.value > 0.8
    assert everything.figures.map50.low <= everything.figures.map50.value <= everything.figures.map50.high
    faces = sum(row.boxes for row in everything.figures.classes.values())
    assert sum(map(sum, everything.confusion[:3])) == everything.figures.boxes == faces
    assert sum(row.boxes for row in everything.sizes_in_input) == faces
    assert everything.serving.everything.precision is not None
    assert everything.serving.everything.precision > 0.8


def test_int8_is_held_against_fp32_and_a_model_against_itself_is_a_tie(found: tuple[report.Report, Path]) -> None:
    assert [(one.first, one.second, one.source) for one in found[0].precisions] == [
        ("int8", "fp32", source) for source in ("drawn", "people", "all")
    ]
    assert {one.differences["mAP50"].p_better for one in found[0].against} == {0.5}


def test_changed_pictures_are_compared_with_the_same_as_they_are(found: tuple[report.Report, Path]) -> None:
    rows = {(row.view, row.source): row for row in found[0].robustness}
    assert len(rows) == (3 + 1) * 3
    noisy = rows["noisy 3", "all"]
    assert noisy.gain is not None
    plainly = next(one for one in found[0].sets if one.title == "all, wide, int8").figures.map50.value
    assert noisy.gain.value == pytest.approx(noisy.figures.map50.value - plainly)
    assert all(row.precision == "int8" for row in found[0].robustness)


def test_tiny_faces_are_found_less_than_middling_ones(found: tuple[report.Report, Path]) -> None:
    by_view = {row.view: row.figures.map50.value for row in found[0].scales if row.source == "all"}
    assert by_view["face 12 px"] < by_view["face 96 px"]


def test_speed_and_memory_are_those_of_a_process_of_its_own(found: tuple[report.Report, Path]) -> None:
    assert [(one.precision, one.shape, one.pictures) for one in found[0].footprints] == [
        ("fp32", "wide", COUNT),
        ("int8", "wide", COUNT),
    ]
    for one in found[0].footprints:
        assert 0 < one.median_ms <= one.p95_ms
        assert 50 < one.rss_mb < 1000


def test_curves_confusion_calibration_and_the_worst_are_drawn(found: tuple[report.Report, Path]) -> None:
    folder = found[1] / "pictures" / "all-wide-int8"
    for name in ("curves", "confusion", "calibration"):
        assert np.std(np.asarray(cv2.imread(str(folder / f"{name}.png")))) > 1
    wrong = sum(
        count
        for row, counts in enumerate(found[0].sets[-1].confusion)
        for column, count in enumerate(counts)
        if row != column
    )
    assert bool(list((folder / "worst").glob("01-*.jpg"))) == bool(wrong)


@pytest.mark.skipif(importlib.util.find_spec("ultralytics") is None, reason="Ultralytics is not here: make train")
@pytest.mark.filterwarnings("default")
def test_ultralytics_figure_stands_beside_cocos(found: tuple[report.Report, Path]) -> None:
    for one in found[0].sets:
        assert one.published is not None
        assert one.published.map50 == pytest.approx(one.figures.map50.value, abs=0.05)
        assert one.published.map50_95 == pytest.approx(one.figures.map50_95.value, abs=0.05)


def test_a_report_survives_its_file_and_is_written_for_people(
    found: tuple[report.Report, Path], tmp_path: Path
) -> None:
    report.save(found[0], tmp_path / report.FILE)
    assert report.load(tmp_path / report.FILE) == found[0]
    text = report.markdown(found[0])
    for part in ("| all, wide, int8 | 12 |", "| noisy 2 |", "| face 96 px |", "| true | with_mask |"):
        assert part in text
    (tmp_path / report.FILE).write_text("{}")
    with pytest.raises(EvaluationError, match="is no report"):
        report.load(tmp_path / report.FILE)
    with pytest.raises(EvaluationError, match="«maskwatch evaluate» writes it"):
        report.load(tmp_path / "nowhere.json")


def test_what_was_asked_once_is_not_asked_again(data: Manifest, tmp_path: Path) -> None:
    entries = list(data.entries[:2])
    with answers.Examinee(MODEL, "int8", tmp_path) as model:
        _, first = model.answer(entries, "wide", plain())
        (file,) = tmp_path.glob("*.json")
        told = msgspec.structs.replace(first, faces=((), ()))
        file.write_bytes(msgspec.json.encode(told))
        assert model.answer(entries, "wide", plain())[1] == told
        model.answer(entries, "square", plain())
        model.answer(entries[:1], "wide", plain())
        assert len(list(tmp_path.glob("*.json"))) == 3
        # Two precisions may share a file.
        assert msgspec.structs.replace(first, precision="fp16").key != first.key
        file.write_text("half")
        with pytest.raises(EvaluationError, match="remove it"):
            model.answer(entries, "wide", plain())


def test_a_canvas_is_shown_anew_once_its_faces_are_corrected(data: Manifest, tmp_path: Path) -> None:
    entry = next(entry for entry in data.entries if len(entry.faces) > 1)
    corrected = msgspec.structs.replace(entry, faces=entry.faces[:1])
    with answers.Examinee(MODEL, "int8", tmp_path) as model:
        for view, kept in ((plain(), 1), (pasted(48), 3)):
            for told in (entry, corrected):
                model.answer([told], "wide", view)
            assert len(list(tmp_path.glob("*.json"))) == kept


def test_a_source_without_faces_counts_among_all_and_is_not_judged_for_itself(data: Manifest, tmp_path: Path) -> None:
    empty = tuple(
        msgspec.structs.replace(entry, faces=()) if entry.source == "people" else entry for entry in data.entries
    )
    request = Request(out=tmp_path, shapes=("wide",), precisions=("int8",), angles=(10,), speed=False, pictures=False)
    found = evaluate(MODEL, Manifest(empty), request)
    assert [(one.source, one.figures.pictures) for one in found.sets] == [("drawn", 6), ("all", COUNT)]
    assert [one.source for one in found.robustness] == ["drawn", "all"]
    with pytest.raises(EvaluationError, match="no picture of people in the part «test» shows a face"):
        evaluate(MODEL, Manifest(empty), msgspec.structs.replace(request, sources=("people",)))


def test_two_models_are_compared_at_the_precisions_that_both_have(data: Manifest, tmp_path: Path) -> None:
    other = without(tmp_path / "other", "fp32", "fp16")
    request = Request(
        out=tmp_path,
        shapes=("wide",),
        sources=("drawn",),
        precisions=("fp16", "int8"),
        against=other,
        speed=False,
        pictures=False,
    )
    (one,) = evaluate(MODEL, data, request).against
    assert one.first.endswith("int8")
    with pytest.raises(EvaluationError, match=r"other has no fp16 file, only int8: .* choose it with --precision"):
        evaluate(MODEL, data, msgspec.structs.replace(request, precisions=("fp16",)))


def test_the_worst_are_those_of_the_last_evaluation(data: Manifest, tmp_path: Path) -> None:
    (tmp_path / "before.jpg").touch()
    drawing.draw_worst(data.entries, [()] * COUNT, sightings(data.entries, [()] * COUNT, 0.4), plain(), 0.4, tmp_path)
    assert sorted(path.name[:2] for path in tmp_path.iterdir()) == [f"{place:02d}" for place in range(1, COUNT + 1)]


def test_figures_say_of_which_part_they_are(found: tuple[report.Report, Path], tmp_path: Path) -> None:
    for part, name in (("test", "drawn, wide, fp32"), ("val", "val, drawn, wide, fp32")):
        report.save_figures(msgspec.structs.replace(found[0], part=part), tmp_path / "figures.json")
        assert name in json.loads((tmp_path / "figures.json").read_bytes())


def test_a_manifest_that_does_not_fit_the_pictures_is_said_so(data: Manifest, tmp_path: Path) -> None:
    turned = msgspec.structs.replace(data.entries[0], width=data.entries[0].height, height=data.entries[0].width)
    with (
        answers.Examinee(MODEL, "int8", tmp_path) as model,
        pytest.raises(EvaluationError, match="make the manifest anew"),
    ):
        model.answer([turned], "wide", plain())


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"part": "val"}, "the part «val» is empty"),
        ({"sources": ("portraits",)}, "no picture of portraits is in the part «test», only of drawn, people"),
    ],
)
def test_pictures_that_are_not_there_are_named(
    data: Manifest, tmp_path: Path, change: dict[str, object], says: str
) -> None:
    with pytest.raises(EvaluationError, match=says):
        evaluate(MODEL, data, msgspec.structs.replace(Request(out=tmp_path), **change))


def test_a_precision_that_the_model_lacks_is_named(data: Manifest, tmp_path: Path) -> None:
    poorer = without(tmp_path / "poorer", "fp16")
    with pytest.raises(ModelError, match="no fp16 file, only fp32, int8"):
        evaluate(poorer, data, Request(out=tmp_path, precisions=("fp16",)))


def test_a_speed_that_cannot_be_measured_is_said_with_the_reason(tmp_path: Path) -> None:
    with pytest.raises(EvaluationError, match="no model in"):
        footprint.measure(footprint.Job(str(tmp_path), "fp32", "wide", ()))


def test_the_command_prints_the_report_and_keeps_it(data: Manifest, tmp_path: Path) -> None:
    save(data, tmp_path / "manifest.json")
    common = ["evaluate", "default", "--manifest", str(tmp_path / "manifest.json"), "--out", str(tmp_path / "out")]
    short = ["--shape", "wide", "--precision", "int8", "--source", "drawn", "--no-speed", "--no-pictures"]
    result = CliRunner().invoke(main, [*common, *short, "--json"])
    assert result.exit_code == 0, result.output
    told = json.loads(result.stdout)
    assert told["name"] == "yolov8n-facemask"
    assert np.isfinite(told["sets"][0]["figures"]["map50"]["value"])
    assert (tmp_path / "out" / "report.md").read_text().startswith(f"# {told['name']}, version ")
    result = CliRunner().invoke(main, [*common, *short])
    assert "| drawn, wide, int8 |" in result.stdout
    result = CliRunner().invoke(main, [*common, "--part", "train", "--card"])
    assert "pictures that it was not trained on: use --part test" in result.output
