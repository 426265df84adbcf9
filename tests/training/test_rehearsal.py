"""What models say of themselves in a round: rehearsed if that is set, and never where it would judge."""

from pathlib import Path
from typing import Any

import msgspec

from maskwatch.label_messages import FrameLabel
from maskwatch.messages import MarkedFace
from maskwatch.store import Store
from tests.support import stack
from tests.support.labelling import NOON, jpeg
from training import rehearsal
from training.datasets import manifest as manifests
from training.datasets.split import held_out

FACES = (MarkedFace("with_mask", (0.2, 0.2, 0.4, 0.6)),)


def say(store: Store, number: int, made_by: str, picture: bytes) -> None:
    label = FrameLabel(
        f"gate:s1:{number}", "labelled", NOON, "x", faces=FACES, sha256=store.put(picture), width=320, height=240,
        source="gate", made_by=made_by,  # type: ignore[arg-type]
    )  # fmt: skip
    store.write_label(label.frame, msgspec.json.encode(label))


def settings(home: Path, **labels: Any) -> Any:  # noqa: ANN401  # of the settings
    return stack.settings_for(home, "127.0.0.1:1", {"store": {"url": f"file://{home}/store"}, "labels": labels})


def test_they_are_rehearsed_only_if_that_is_set_and_are_no_labels_of_the_camera(tmp_path: Path) -> None:
    store = Store(settings(tmp_path))
    say(store, 1, "person", jpeg(1))
    say(store, 2, "model", jpeg(2))
    assert rehearsal.by_models(store, settings(tmp_path)) == []
    assert [label.frame for label in rehearsal.labels(store)] == ["gate:s1:1"]
    (pseudo,) = rehearsal.by_models(store, settings(tmp_path, pseudo=True))
    assert (pseudo.frame, pseudo.source) == ("gate:s1:2", "by a model: gate")


def test_what_looks_like_a_picture_that_judges_is_left_out(tmp_path: Path) -> None:
    ours = settings(tmp_path, pseudo=True)
    store = Store(ours)
    # Of each picture one that people labelled, and nearly the same again by a model.
    for number in range(12):
        say(store, number, "person", jpeg(number))
        say(store, 100 + number, "model", jpeg(number) + b"\xff\xd9" * (number + 1))
    people, pseudo = rehearsal.labels(store), rehearsal.by_models(store, ours)
    pictures = [rehearsal.pictures(several, store, tmp_path / "pictures", 60) for several in (people, pseudo)]
    alone = frozenset(label.source for label in pseudo)
    data = manifests.build([*pictures[0], *pictures[1]], labels=frozenset({"gate"}), train_only=alone)
    parts = {entry.sha256: entry.part for entry in data.entries}
    judging = {label.sha256 for label in people if parts[label.sha256] == "holdout"}
    assert judging
    assert {entry.part for entry in data.entries if entry.source in alone} == {"train", "left out"}
    assert all(held_out(entry.group) == (entry.part != "train") for entry in data.entries)
