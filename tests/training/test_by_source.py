"""Wrong labels: on answers that are made up, so that it is known which model is worse; and on real models."""

import hashlib
import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import pytest

from maskwatch.learning_settings import GateSettings
from maskwatch.messages import CLASSES, DetectedFace, Label, MarkedFace
from maskwatch.model_messages import Condition
from tests.support.candidates import altered, drawn_labels, judged
from training import by_source, gate
from training.by_source import ALONE, labels_by_source
from training.datasets.manifest import Entry, Manifest, load, save
from training.gate import Evidence, conditions

BOX = (0.2, 0.2, 0.4, 0.5)
OTHER: dict[Label, Label] = {
    "with_mask": "without_mask",
    "without_mask": "with_mask",
    "mask_weared_incorrect": "mask_weared_incorrect",
}


@dataclass(frozen=True)
class Face:
    """One picture with one face: what it truly is, what people say, and what each model says."""

    source: str
    true: Label
    said: Label
    champion: Label
    candidate: Label


def faces(source: str, count: int) -> list[Face]:
    """Make pictures about which everybody is right."""
    kinds = [CLASSES[number % 2] for number in range(count)]
    return [Face(source, kind, kind, kind, kind) for kind in kinds]


def flipped(of: Sequence[Face], wrong: Callable[[int], bool], *who: str) -> list[Face]:
    """Let somebody be wrong about some pictures."""
    return [
        replace(face, **dict.fromkeys(who, OTHER[face.true])) if wrong(number) else face
        for number, face in enumerate(of)
    ]


def evidence(of: Sequence[Face]) -> Evidence:
    entries = [
        Entry(f"{number:064x}", "", face.source, 640, 360, f"{number}", "holdout", (MarkedFace(face.said, BOX),))
        for number, face in enumerate(of)
    ]
    champion, candidate = (
        # Each picture has a score of its own: among ties the order would decide.
        [(DetectedFace(label, 0.9 - number / 1000, BOX),) for number, label in enumerate(labels)]
        for labels in ([face.champion for face in of], [face.candidate for face in of])
    )
    return Evidence("holdout", "wide", entries, champion, candidate)


def told(of: Sequence[Face], **bounds: float) -> dict[str, Condition]:
    rows, _ = conditions([evidence(of)], GateSettings.model_validate(bounds), resamples=200)
    return {row.name: row for row in rows}


@pytest.mark.parametrize("seed", range(10))
def test_a_model_made_worse_by_labels_that_are_wrong_at_random_is_refused(seed: int) -> None:
    # A fifth of one source's labels says the wrong class, on the holdout as well; the model has become unsure.
    generator = np.random.default_rng(seed)
    labels, doubts = generator.random(40) < 0.2, generator.random(80) < 0.1
    door = flipped(faces("door", 40), lambda number: bool(labels[number]), "said")
    rows = told(flipped([*door, *faces("gate", 40)], lambda number: bool(doubts[number]), "candidate"))
    assert rows[gate.GAIN].stops


def test_a_model_that_has_learnt_one_sources_mistake_is_refused_though_the_holdout_likes_it() -> None:
    # Of the faces of one kind, a fifth, one source says the wrong class, and now the model says it everywhere.
    def kind(number: int) -> bool:
        return number % 5 == 0

    door = flipped(faces("door", 200), kind, "said", "candidate")
    rows = told([*door, *flipped(faces("gate", 40), kind, "candidate")])
    assert rows[gate.GAIN].outcome == rows[gate.CHANCE].outcome == "passed"
    alone = rows[ALONE]
    assert alone.stops
    assert alone.value is not None
    assert alone.value < -0.1
    assert alone.why.startswith("without door: from 1.000 to 0.")
    assert "on 40 pictures; as much in " in alone.why


def test_a_gain_on_one_drifting_camera_passes_if_the_others_keep_what_they_had() -> None:
    drifting = flipped(faces("door", 60), lambda number: number % 3 == 0, "champion")
    others = [*faces("gate", 40), *faces("lift", 40)]
    rows = told([*drifting, *others])
    assert rows[gate.GAIN].outcome == rows[ALONE].outcome == "passed"
    assert rows[ALONE].value == 0
    # One face more or less among the others is no proof of a loss.
    assert told([*drifting, *flipped(others, lambda number: number == 7, "candidate")])[ALONE].outcome == "passed"


def test_where_the_others_are_too_few_it_is_not_judged_and_says_so() -> None:
    only = told(faces("door", 60))[ALONE]
    assert (only.outcome, only.stops) == ("not judged", False)
    assert only.why == "without door 0 pictures of the holdout are left, 30 are needed"
    few = [*faces("door", 60), *faces("gate", 29)]
    assert told(few)[ALONE].why == "without door 29 pictures of the holdout are left, 30 are needed"
    assert told(few, pictures=29)[ALONE].outcome == "passed"
    # What fails for one source fails, though another cannot be left out.
    lost = flipped(faces("door", 60), lambda number: number % 3 == 0, "candidate")
    assert told([*lost, *faces("gate", 29)])[ALONE].stops
    assert told(faces("door", 29))[ALONE].outcome == "not judged"


def test_whose_labels_both_models_doubt_comes_first() -> None:
    door = flipped(faces("door", 50), lambda number: number % 5 == 0, "said")
    gate_ = flipped(faces("gate", 20), lambda number: number == 3, "champion")
    of = evidence([*gate_, *door])
    first, second = labels_by_source(of.entries, of.champion, of.candidate, 0.4)
    assert (first.source, first.pictures, first.faces, first.doubted) == ("door", 50, 50, 10)
    assert (first.champion, first.candidate) == (0.8, 0.8)
    assert (second.source, second.champion, second.candidate, second.doubted) == ("gate", 0.95, 1.0, 0)
    assert len(list(by_source.table([first, second]))) == 5


def test_without_a_face_there_is_nothing_to_agree_on() -> None:
    of = evidence(faces("door", 2))
    empty = Entry("ab" * 32, "", "lift", 640, 360, "x", "holdout", ())
    (_, lift) = labels_by_source([*of.entries, empty], [*of.champion, ()], [*of.candidate, ()], 0.4)
    assert (lift.source, lift.pictures, lift.faces, lift.champion, lift.candidate) == ("lift", 1, 0, None, None)
    assert list(by_source.table([lift]))[-1] == "| lift | 1 | 0 |  |  | 0 |"
    assert labels_by_source([empty], [()], [()], 0.4) == ()
    assert list(by_source.table([])) == []


# Real models


@pytest.fixture(scope="module")
def holdout(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return drawn_labels(tmp_path_factory.mktemp("sources"), 24)


@pytest.fixture(scope="module")
def candidate(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return altered(tmp_path_factory.mktemp("turned") / "candidate", turned)


@pytest.fixture(scope="module")
def out(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Keep the answers: the pictures are the same, whatever is said of them."""
    return tmp_path_factory.mktemp("out")


def turned(card: dict[str, Any], folder: Path) -> None:
    """Let a model call with a mask what it would call without, and the other way round."""
    import openvino  # noqa: PLC0415
    from openvino import opset13 as ops  # noqa: PLC0415

    model = openvino.Core().read_model(folder / "model-int8.xml")
    result = model.get_results()[0].input(0)
    rows, axis = result.get_source_output(), ops.constant(1)
    place = ops.convert(ops.gather(rows, ops.constant([6]), axis), "i32")
    others = ops.constant(np.array([CLASSES.index(OTHER[label]) for label in CLASSES], np.float32))
    kind = ops.gather(others, place, ops.constant(0))
    head = ops.gather(rows, ops.constant(list(range(6))), axis)
    result.replace_source_output(ops.concat([head, kind], 1).output(0))
    openvino.save_model(model, folder / "turned.xml", compress_to_fp16=False)
    card["files"]["int8"] = {
        "path": "turned.xml",
        "sha256": sha256(folder / "turned.xml"),
        "beside": {"turned.bin": sha256(folder / "turned.bin")},
    }
    card["golden"] = json.loads(
        json.dumps(card["golden"])
        .replace('"with_mask"', '"?"')
        .replace('"without_mask"', '"with_mask"')
        .replace('"?"', '"without_mask"')
    )


def sha256(file: Path) -> str:
    return hashlib.sha256(file.read_bytes()).hexdigest()


def relabelled(manifest: Path, out: Path, change: Callable[[int, Entry], Entry]) -> Path:
    entries = load(manifest).entries
    save(Manifest(tuple(change(number, entry) for number, entry in enumerate(entries))), out)
    return out


def test_a_real_model_that_has_learnt_one_sources_mistake_is_refused(
    holdout: Path, candidate: Path, out: Path, tmp_path: Path
) -> None:
    def by_two(number: int, entry: Entry) -> Entry:
        if number % 4 == 0:
            return msgspec.structs.replace(entry, source="gate")
        return msgspec.structs.replace(
            entry, faces=tuple(MarkedFace(OTHER[face.label], face.box) for face in entry.faces)
        )

    labels = relabelled(holdout, tmp_path / "labels.json", by_two)
    # So few pictures are hardly told from chance.
    bounds = {"pictures": 6, "chance": 0.15, "latency_ms": 10_000}
    code, verdict = judged(candidate, labels, out, **bounds)
    rows = {row.name: row for row in verdict.conditions}
    # All that looks at the holdout as a whole takes it for the better one.
    assert rows["loads and sees the golden picture"].outcome == "passed"
    assert rows[gate.GAIN].outcome == "passed"
    assert (code, verdict.promote) == (1, False), gate.table(verdict)
    assert [name for name, row in rows.items() if row.stops] == [ALONE]
    assert rows[ALONE].why.startswith("without door: ")
    agree = {one.source: (one.champion or 0, one.candidate or 0) for one in verdict.sources}
    assert agree["door"][0] < agree["gate"][0]
    assert agree["door"][1] > agree["gate"][1]


@pytest.mark.parametrize("what", ["a fifth of one source's", "useless"])
def test_on_wrong_labels_a_real_model_that_is_worse_is_refused(
    holdout: Path, candidate: Path, out: Path, tmp_path: Path, what: str
) -> None:
    generator = np.random.default_rng(5)

    def wrong(_: int, entry: Entry) -> Entry:
        if what == "useless":
            corners = generator.random((4, 2)) * 0.8
            labels = generator.choice(CLASSES, 4)
            given = [
                MarkedFace(label, (x, y, x + 0.15, y + 0.2))
                for label, (x, y) in zip(labels.tolist(), corners.tolist(), strict=True)
            ]
        else:
            flips = generator.random(len(entry.faces)) < 0.2
            given = [
                MarkedFace(OTHER[face.label], face.box) if flip else face
                for face, flip in zip(entry.faces, flips.tolist(), strict=True)
            ]
        return msgspec.structs.replace(entry, faces=tuple(given))

    labels = relabelled(holdout, tmp_path / "labels.json", wrong)
    code, verdict = judged(candidate, labels, out, pictures=12, latency_ms=10_000)
    assert (code, verdict.promote) == (1, False)
    assert gate.GAIN in [row.name for row in verdict.conditions if row.outcome == "failed"]
    (door,) = verdict.sources
    assert door.champion is not None
    if what == "useless":
        assert door.champion < 0.2
    else:
        assert 0.6 < door.champion < 0.95
