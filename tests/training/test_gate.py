"""The gate: on answers that are made up, so that each condition is known; and on real models."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from click.testing import CliRunner

from maskwatch.cli import main
from maskwatch.learning_settings import GateSettings
from maskwatch.messages import CLASSES, DetectedFace, MarkedFace
from maskwatch.model import ShapeName
from maskwatch.model_messages import Condition
from tests.support.candidates import CHAMPION, altered, drawn_labels, judged
from training import gate
from training.datasets.manifest import Entry
from training.datasets.split import Part
from training.evaluation.footprint import Footprint, Job
from training.gate import Evidence, conditions, disagreements

PICTURES = 40
BOX = (0.2, 0.2, 0.4, 0.5)
ASIDE = (0.6, 0.6, 0.8, 0.9)


def entry(number: int, part: Part = "holdout", label: str = "with_mask") -> Entry:
    return Entry(f"{number:064x}", f"{number}.jpg", "door", 640, 360, f"{number}", part, (MarkedFace(label, BOX),))  # type: ignore[arg-type]


def right(one: Entry) -> tuple[DetectedFace, ...]:
    return tuple(DetectedFace(face.label, 0.9, face.box) for face in one.faces)


def missed(_: Entry) -> tuple[DetectedFace, ...]:
    return (DetectedFace("with_mask", 0.9, ASIDE),)


def swapped(one: Entry) -> tuple[DetectedFace, ...]:
    others = dict(zip(CLASSES, CLASSES[1:] + CLASSES[:1], strict=True))
    return tuple(DetectedFace(others[face.label], 0.9, face.box) for face in one.faces)


def evidence(  # noqa: PLR0913  # all but the first have names
    wrong: tuple[int, int], *, part: Part = "holdout", shape: ShapeName = "wide", count: int = PICTURES,
    how: Callable[[Entry], tuple[DetectedFace, ...]] = missed, label: str = "with_mask",
) -> Evidence:  # fmt: skip
    """Let champion and candidate be wrong on so many pictures, the first ones."""
    entries = [entry(number, part, label) for number in range(count)]
    answers = [[how(one) if number < few else right(one) for number, one in enumerate(entries)] for few in wrong]
    return Evidence(part, shape, entries, *answers)


def told(*given: Evidence, **bounds: float) -> dict[str, Condition]:
    rows, _ = conditions(given, GateSettings.model_validate(bounds), resamples=200)
    return {row.name: row for row in rows}


def test_what_is_better_on_the_holdout_passes_and_what_is_the_same_does_not() -> None:
    better = told(evidence((20, 4)))[gate.GAIN]
    assert better.outcome == "passed"
    assert better.value is not None
    assert better.value > 0.01
    assert told(evidence((10, 10)))[gate.GAIN].outcome == "failed"
    assert told(evidence((4, 20)))[gate.GAIN].outcome == "failed"


def test_a_gain_by_chance_is_none() -> None:
    # One picture of forty: much of a gain, and not sure.
    one = told(evidence((1, 0)))[gate.GAIN]
    assert one.value is not None
    assert one.value > 0.01
    assert one.outcome == "failed"
    assert told(evidence((1, 0)), certainty=0.55)[gate.GAIN].outcome == "passed"


def test_names_swapped_at_random_are_refused() -> None:
    # A retrain that changed nothing: whose answer is whose is chance. Two in a hundred are expected to pass.
    generator = np.random.default_rng(3)
    of = evidence((12, 12))
    refused = 0
    for _ in range(100):
        # Both are wrong on some pictures, each on others.
        order = generator.permutation(PICTURES)
        mine = [of.champion[number] for number in order]
        swap = generator.random(PICTURES) < 0.5
        pairs = [(b, a) if s else (a, b) for a, b, s in zip(of.champion, mine, swap, strict=True)]
        champion, candidate = zip(*pairs, strict=True)
        rows = told(of._replace(champion=champion, candidate=candidate))
        refused += any(row.stops for row in rows.values())
    assert refused >= 95


def test_what_cannot_be_judged_is_named_and_stops_only_where_it_is_essential() -> None:
    rows = told(evidence((20, 4)))
    unjudged = {name for name, row in rows.items() if row.outcome == "not judged"}
    assert {"no worse: test, wide", "no worse: test, square", "without_mask: holdout, wide"} <= unjudged
    assert not any(rows[name].stops for name in unjudged)
    assert "maskwatch data get" in rows["no worse: test, wide"].why

    few = told(evidence((9, 0), count=29))
    assert few[gate.GAIN].outcome == "not judged"
    assert "29 pictures of the holdout" in few[gate.GAIN].why
    assert few[gate.GAIN].stops
    assert told()[gate.GAIN].stops


@pytest.mark.parametrize("shape", ["wide", "square"])
def test_the_frozen_part_must_not_suffer(shape: ShapeName) -> None:
    suffers = told(evidence((20, 4)), evidence((0, 4), part="test", shape=shape))
    assert suffers[f"no worse: test, {shape}"].stops
    assert told(evidence((4, 4), part="test", shape=shape))[f"no worse: test, {shape}"].outcome == "passed"


def test_no_class_may_suffer_for_another() -> None:
    # In half of the pictures with a mask, in half without: much is gained on the first, and lost on the others.
    masks, bare = evidence((30, 0)), evidence((0, 10), label="without_mask")
    both = Evidence(
        "holdout", "wide", [*masks.entries, *bare.entries],
        [*masks.champion, *bare.champion], [*masks.candidate, *bare.candidate],
    )  # fmt: skip
    rows = told(both)
    assert rows[gate.GAIN].outcome == "passed"
    assert rows["without_mask: holdout, wide"].stops
    assert rows["with_mask: holdout, wide"].outcome == "passed"
    assert not told(both, class_margin=0.9)["without_mask: holdout, wide"].stops


def test_swapped_classes_are_refused() -> None:
    assert told(evidence((0, PICTURES), how=swapped))[gate.GAIN].stops


def test_the_pictures_that_differ_most_come_first_and_those_that_do_not_are_left_out() -> None:
    of = evidence((3, 0))
    twice = (*missed(of.entries[1]), DetectedFace("with_mask", 0.9, (0.0, 0.0, 0.1, 0.1)))
    champion = list(of.champion)
    champion[1] = twice
    shown = disagreements(of._replace(champion=champion), score=0.4)
    assert [int(one.sha256, 16) for one in shown] == [1, 0, 2]
    assert (shown[0].champion_mistakes, shown[0].candidate_mistakes) == (3, 0)
    assert shown[0].candidate == right(of.entries[1])
    assert len(disagreements(of, score=0.4, most=2)) == 2
    assert disagreements(of, score=0.95) == ()


@pytest.fixture(scope="module")
def holdout(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return drawn_labels(tmp_path_factory.mktemp("gate"))


def test_a_real_candidate_that_changed_nothing_is_refused_and_every_condition_is_told(
    holdout: Path, tmp_path: Path
) -> None:
    def same_in_half_precision(card: dict[str, Any], _: Path) -> None:
        card["files"]["int8"] = card["files"]["fp16"]

    candidate = altered(tmp_path / "candidate", same_in_half_precision)
    code, verdict = judged(candidate, holdout, tmp_path / "out", pictures=12)
    rows = {row.name: row for row in verdict.conditions}
    assert (code, verdict.promote) == (1, False)
    assert rows[gate.GAIN].outcome == "failed"
    assert rows["loads and sees the golden picture"].outcome == "passed"
    assert rows["no worse: holdout, square"].outcome in {"passed", "failed"}
    assert rows["no worse: test, wide"].outcome == "not judged"
    assert rows["speed"].value is not None
    assert rows["speed"].value > 0
    assert verdict.candidate.version == "candidate"
    assert verdict.p_better is not None
    # Nobody else's bounds: the same verdict with bounds that everything keeps.
    loose = {"gain": 0, "certainty": 0.501, "tolerance": 1, "class_margin": 1, "latency_ms": 10_000, "pictures": 12}
    _, easy = judged(candidate, holdout, tmp_path / "out", **loose)
    assert {row.name for row in easy.conditions if row.stops} <= {gate.GAIN, gate.CHANCE}
    assert gate.table(easy).count("\n") == len(easy.conditions) + 3 + len(easy.sources) + 3


@pytest.mark.parametrize(
    ("took", "outcome"), [(23.0, "failed"), (22.0, "passed"), (12.0, "passed")], ids=["both", "by ratio", "by time"]
)
def test_a_candidate_that_is_slower_by_time_and_by_ratio_is_refused(
    holdout: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, took: float, outcome: str
) -> None:
    # How long anything really takes here depends on who else uses the machine.
    def timed(job: Job) -> Footprint:
        return Footprint(
            job.precision, job.shape, len(job.pictures), took if "candidate" in job.folder else 20, 50, 200
        )

    monkeypatch.setattr(gate, "measure", timed)

    def in_half_precision(card: dict[str, Any], _: Path) -> None:
        card["files"]["int8"] = card["files"]["fp16"]

    candidate = altered(tmp_path / "candidate", in_half_precision)
    _, verdict = judged(candidate, holdout, tmp_path / "out", latency_ms=20.0, slower=1.1, pictures=12)
    (speed,) = (row for row in verdict.conditions if row.name == "speed")
    assert (speed.outcome, speed.value) == (outcome, took)
    assert "the champion takes 20.0" in speed.why


def test_a_corrupt_candidate_is_refused_and_says_why(holdout: Path, tmp_path: Path) -> None:
    def cut(_: dict[str, object], folder: Path) -> None:
        file = folder / "model-int8.bin"
        file.write_bytes(file.read_bytes()[:-1])

    code, verdict = judged(altered(tmp_path / "candidate", cut), holdout, tmp_path / "out")
    (row,) = verdict.conditions
    assert (code, verdict.promote, row.outcome) == (1, False, "failed")
    assert "was altered" in row.why


def test_a_candidate_of_other_classes_is_refused(holdout: Path, tmp_path: Path) -> None:
    def turned(card: dict[str, Any], _: Path) -> None:
        card["classes"] = list(reversed(CLASSES))

    _, verdict = judged(altered(tmp_path / "candidate", turned), holdout, tmp_path / "out")
    assert not verdict.promote
    assert "expected" in verdict.conditions[0].why
    assert verdict.candidate.name == "candidate"


def test_the_champion_is_no_candidate(holdout: Path, tmp_path: Path) -> None:
    arguments = ["models", "gate", str(CHAMPION), "--manifest", str(holdout), "--out", str(tmp_path)]
    done = CliRunner().invoke(main, arguments)
    assert done.exit_code == 1
    assert "is the champion itself" in done.output
