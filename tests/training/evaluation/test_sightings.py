import numpy as np

from maskwatch.messages import Box, DetectedFace, Label, MarkedFace
from training.datasets.manifest import Entry
from training.evaluation.sightings import by_size, confusion, mistakes, sightings

LEFT: Box = (0.1, 0.1, 0.4, 0.5)
RIGHT: Box = (0.6, 0.1, 0.9, 0.5)
FAR: Box = (0.1, 0.7, 0.2, 0.8)


def entry(*faces: tuple[Label, Box]) -> Entry:
    marked = tuple(MarkedFace(label, box) for label, box in faces)
    return Entry("00", "a.jpg", "photographs", 100, 100, "00", "test", marked)


def seen(label: Label, box: Box, score: float = 0.9) -> DetectedFace:
    return DetectedFace(label, score, box)


ENTRIES = [
    entry(("with_mask", LEFT), ("mask_weared_incorrect", RIGHT)),
    entry(),
    entry(("without_mask", FAR), ("without_mask", LEFT)),
]
ANSWERS = [
    [seen("with_mask", LEFT), seen("without_mask", RIGHT, 0.8), seen("with_mask", FAR, 0.7)],
    [seen("mask_weared_incorrect", LEFT, 0.6), seen("with_mask", RIGHT, 0.3)],
    [seen("without_mask", LEFT, 0.9)],
]


def test_every_face_is_found_told_wrongly_or_missed_and_every_other_answer_is_false() -> None:
    counts = confusion(sightings(ENTRIES, ANSWERS, 0.4))
    np.testing.assert_array_equal(
        counts,
        [
            [1, 0, 0, 0],  # with_mask
            [0, 1, 0, 1],  # without_mask: FAR is missed
            [0, 1, 0, 0],  # mask_weared_incorrect was taken for without_mask
            [1, 0, 1, 0],  # no face; what is under the score does not count
        ],
    )


def test_mistakes_are_counted_by_picture() -> None:
    assert mistakes(sightings(ENTRIES, ANSWERS, 0.4), 3).tolist() == [2, 1, 1]
    assert mistakes(sightings(ENTRIES, ANSWERS, 0.2), 3).tolist() == [2, 2, 1]


def test_faces_of_each_size_are_scored_for_themselves() -> None:
    of = sightings(ENTRIES, ANSWERS, 0.4)
    small, _, middle, *rest = by_size(ENTRIES, ANSWERS, of)
    # FAR measures 10 px, the others 35 px.
    assert (small.sizes, small.boxes, small.found, small.map50) == ("0-12 px", 1, 0, 0)
    assert (middle.sizes, middle.boxes, middle.found, middle.right) == ("24-48 px", 3, 1, 2 / 3)
    assert middle.map50 == 2 / 3  # with_mask and without_mask are found, mask_weared_incorrect is not
    assert [row.boxes for row in rest] == [0, 0]
    assert rest[0].found is rest[0].right is rest[0].map50 is None


def test_sizes_in_the_input_follow_the_letterbox() -> None:
    of = sightings(ENTRIES, ANSWERS, 0.4)
    rows = by_size(ENTRIES, ANSWERS, of, [2.0] * 3)
    assert {row.sizes: row.boxes for row in rows if row.boxes} == {"12-24 px": 1, "48-96 px": 3}


def test_a_face_on_an_edge_is_in_the_bin_above_alone() -> None:
    entries = [entry(("with_mask", (0.0, 0.0, 0.12, 0.12)))]
    answers = [[seen("with_mask", (0.0, 0.0, 0.12, 0.12))]]
    rows = by_size(entries, answers, sightings(entries, answers, 0.4))
    assert [row.boxes for row in rows] == [0, 1, 0, 0, 0]
