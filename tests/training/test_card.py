from pathlib import Path

from maskwatch.messages import MarkedFace
from training.card import write
from training.manifest import Entry, Manifest
from training.recipe import Recipe


def test_a_card_says_what_it_was_made_of() -> None:
    face = MarkedFace("with_mask", (0, 0, 1, 1))
    manifest = Manifest(
        (
            Entry("a", "a.jpg", "portraits", 10, 10, "a", "train", (face, face)),
            Entry("b", "b.jpg", "portraits", 10, 10, "b", "test", (face,)),
        )
    )
    card = write("yolo", "3", manifest, {"photographs": Recipe(Path("start.pt"), 6)}, "| figures |")
    assert card.startswith("# yolo, version 3")
    assert "| portraits | 1 | 0 | 1 |" in card
    assert "| with_mask | 2 | 0 | 1 |" in card
    assert "1. on photographs: from `start.pt`, 6 epochs at 416 px" in card
    assert "| figures |" in card
    assert manifest.sha256 in card
