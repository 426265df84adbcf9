import msgspec

from maskwatch.messages import MarkedFace
from training.artefact.export import Plan, Provenance
from training.datasets.manifest import Entry, Manifest
from training.evaluation.bootstrap import Interval
from training.evaluation.card import write
from training.evaluation.points import Calibration, Point, Points
from training.evaluation.report import ClassFigures, Figures, Report, SetReport
from training.evaluation.sightings import SizeBin

FACE = MarkedFace("with_mask", (0, 0, 1, 1))
DATA = Manifest(
    (
        Entry("a", "a.jpg", "portraits", 10, 10, "a", "train", (FACE, FACE)),
        Entry("b", "b.jpg", "portraits", 10, 10, "b", "test", (FACE,)),
        Entry("c", "c.jpg", "my-cameras", 10, 10, "c", "left out", ()),
    )
)
AP = Interval(0.5, 0.25, 0.75)
POINTS = Points(0.4, Point(0.9, 0.8), {"with_mask": Point(0.9, 0.8)})
SET = SetReport(
    source="portraits",
    shape="wide",
    precision="int8",
    figures=Figures(1, 1, AP, AP, {"with_mask": ClassFigures(1, AP, AP)}),
    published=None,
    serving=POINTS,
    best=POINTS,
    sizes_in_picture=(),
    sizes_in_input=(SizeBin("0-12 px", 4, 0.25, 0.25, 0.1), SizeBin("12-24 px", 0, None, None, None)),
    calibration=Calibration(0.125, ()),
    confusion=(),
)
REPORT = Report("yolo", "3", {"int8": "00"}, {"wide": (640, 384)}, "ab" * 32, "test", 0.4, (SET,), ())
PROVENANCE = Provenance(
    "cd" * 32, "YOLO26n", 300, Plan("yolo", "3", head_in_floats=True, history=("`first`, from `start.pt`: epochs 6",))
)


def test_a_card_says_what_it_was_made_of() -> None:
    card = write(DATA, REPORT, PROVENANCE)
    assert card.startswith("# yolo, version 3\n\nA YOLO26n that finds faces")
    assert "| portraits | 1 | 0 | 1 | 0 | 0 |" in card
    assert "| with_mask | 2 | 0 | 1 | 0 | 0 |" in card
    assert "1. `first`, from `start.pt`: epochs 6" in card
    assert "calibrated on 300 train pictures, letterboxed as they are served, the head left in floating point." in card
    assert DATA.sha256 in card
    assert "another manifest" not in card


def test_a_card_tells_of_half_weights_and_of_recovered_ones_where_there_are_any() -> None:
    plan = msgspec.structs.replace(PROVENANCE.plan, half_weights=True, history=("`first`, from `n_dequantised.pt`",))
    card = write(DATA, REPORT, msgspec.structs.replace(PROVENANCE, plan=plan))
    for told in ("FP16 reads the same file", "recovered from a public INT8 file"):
        assert told in card
        assert told not in write(DATA, REPORT, PROVENANCE)


def test_a_card_says_that_the_model_was_trained_on_other_data() -> None:
    plan = msgspec.structs.replace(PROVENANCE.plan, data="ef" * 32)
    card = write(DATA, REPORT, msgspec.structs.replace(PROVENANCE, plan=plan))
    assert f"another manifest, `{'ef' * 32}`: whether that kept these pictures apart is not known." in card


def test_a_card_tells_the_terms_of_sources_and_does_not_guess_those_of_others() -> None:
    card = write(DATA, REPORT, PROVENANCE)
    assert "- `portraits`: photographs of one person each; 1,332 published as «CC0: Public Domain»" in card
    assert "- `my-cameras`: its terms are not known to this project" in card


def test_limits_follow_from_the_figures() -> None:
    card = write(DATA, REPORT, PROVENANCE)
    assert "it finds, by size in the input: 25% at 0-12 px (4 faces)." in card
    assert "`with_mask` is judged on 1 faces only: its AP50 is 0.500 (0.250 to 0.750)." in card
    assert "it is off by 0.12 on average" in card


def test_what_was_not_kept_or_not_measured_is_not_made_up() -> None:
    card = write(DATA, msgspec.structs.replace(REPORT, sets=()), None)
    assert "How it was trained was not kept with it." in card
    assert card.startswith("# yolo, version 3\n\nA detector that")
    for title in ("What less precision costs", "Pictures as bad cameras send them", "Speed and memory"):
        assert title not in card
