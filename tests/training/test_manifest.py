from collections import Counter
from pathlib import Path

import cv2
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from maskwatch.messages import MarkedFace
from training.catalogue import Picture
from training.errors import ManifestError
from training.manifest import Manifest, build, group_near_duplicates, load, part_of, save


def photograph(path: Path, seed: int, *, quality: int = 95) -> Picture:
    image = np.random.default_rng(seed).integers(0, 255, (8, 8, 3)).astype(np.uint8)
    cv2.imwrite(
        str(path), cv2.resize(image, (128, 128), interpolation=cv2.INTER_CUBIC), [cv2.IMWRITE_JPEG_QUALITY, quality]
    )
    return Picture(path, "test", 128, 128, (MarkedFace("with_mask", (0.1, 0.1, 0.5, 0.5)),))


def test_look_alikes_are_in_one_part_whatever_the_seed(tmp_path: Path) -> None:
    pictures = []
    for seed in range(25):
        pictures += [
            photograph(tmp_path / f"{seed}.jpg", seed),
            photograph(tmp_path / f"{seed}-again.jpg", seed, quality=60),
        ]
    manifest = build(pictures)
    parts = {Path(entry.path).stem: entry.part for entry in manifest.entries}
    assert all(parts[f"{seed}"] == parts[f"{seed}-again"] for seed in range(25))
    assert len({entry.group for entry in manifest.entries}) == 25


def test_a_picture_s_part_does_not_change_when_others_are_added(tmp_path: Path) -> None:
    pictures = [photograph(tmp_path / f"{seed}.jpg", seed) for seed in range(20)]
    few = {entry.sha256: entry.part for entry in build(pictures[:8]).entries}
    many = {entry.sha256: entry.part for entry in build(pictures).entries}
    assert few.items() <= many.items()


def test_drawn_people_never_enter_val_or_test(tmp_path: Path) -> None:
    manifest = build([photograph(tmp_path / f"{s}.jpg", s) for s in range(30)], train_only=frozenset({"test"}))
    assert len(manifest.part("train")) == 30


def test_shares_are_about_80_10_10() -> None:
    parts = Counter(part_of(f"group-{number}") for number in range(20_000))
    assert parts["train"] / 20_000 == pytest.approx(0.8, abs=0.01)
    assert parts["val"] / 20_000 == pytest.approx(0.1, abs=0.01)


def test_the_hash_changes_if_and_only_if_the_content_does(tmp_path: Path) -> None:
    (tmp_path / "moved").mkdir()
    manifest = build([photograph(tmp_path / "a.jpg", 1)])
    assert build([photograph(tmp_path / "moved" / "b.jpg", 1)]).sha256 == manifest.sha256
    assert build([photograph(tmp_path / "a.jpg", 2)]).sha256 != manifest.sha256


def test_a_manifest_comes_back_as_it_was_saved(tmp_path: Path) -> None:
    manifest = build([photograph(tmp_path / "a.jpg", 1)])
    save(manifest, tmp_path / "build" / "manifest.json")
    assert load(tmp_path / "build" / "manifest.json") == manifest


@pytest.mark.parametrize(("text", "says"), [(None, "no manifest at"), ("[]", "is not a manifest")])
def test_what_is_no_manifest_is_named(tmp_path: Path, text: str | None, says: str) -> None:
    if text is not None:
        (tmp_path / "m.json").write_text(text)
    with pytest.raises(ManifestError, match=says):
        load(tmp_path / "m.json")


def test_a_manifest_needs_pictures_that_can_be_decoded(tmp_path: Path) -> None:
    with pytest.raises(ManifestError, match="at least one picture"):
        build([])
    picture = photograph(tmp_path / "a.jpg", 1)
    picture.path.write_bytes(b"no picture")
    with pytest.raises(ManifestError, match="cannot be decoded"):
        build([picture])


@given(st.lists(st.lists(st.booleans(), min_size=64, max_size=64), min_size=1, max_size=6))
def test_groups_do_not_depend_on_the_order(bits: list[list[bool]]) -> None:
    names = [f"{index}" for index in range(len(bits))]
    forward = dict(zip(names, group_near_duplicates(names, np.array(bits)), strict=True))
    backward = dict(zip(names[::-1], group_near_duplicates(names[::-1], np.array(bits[::-1])), strict=True))
    assert forward == backward


def test_an_empty_manifest_has_no_part() -> None:
    assert Manifest(()).part("train") == []
