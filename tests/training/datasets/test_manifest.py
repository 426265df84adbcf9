import shutil
from collections import Counter
from datetime import UTC, datetime, timedelta
from pathlib import Path

import cv2
import msgspec
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from maskwatch.messages import CLASSES, Label, MarkedFace
from training.datasets.catalogue import Picture
from training.datasets.duplicates import group, look_alikes
from training.datasets.manifest import Entry, Manifest, build, load, save
from training.datasets.split import Burst
from training.errors import CatalogueError, ManifestError

BOX = (0.1, 0.1, 0.5, 0.5)


def photograph(
    path: Path, seed: int, *, quality: int = 95, source: str = "test", labels: tuple[Label, ...] = ("with_mask",)
) -> Picture:
    image = np.random.default_rng(seed).integers(0, 255, (8, 8, 3)).astype(np.uint8)
    path.parent.mkdir(exist_ok=True, parents=True)
    cv2.imwrite(
        str(path), cv2.resize(image, (128, 128), interpolation=cv2.INTER_CUBIC), [cv2.IMWRITE_JPEG_QUALITY, quality]
    )
    return Picture(path, source, 128, 128, tuple(MarkedFace(label, BOX) for label in labels))


def some(folder: Path, seeds: range, source: str = "test") -> list[Picture]:
    return [
        photograph(folder / source / f"{seed}.jpg", seed, source=source, labels=(CLASSES[seed % 7 == 0],))
        for seed in seeds
    ]


def parts(manifest: Manifest) -> dict[str, str]:
    return {entry.sha256: entry.part for entry in manifest.entries}


def test_look_alikes_are_in_one_part(tmp_path: Path) -> None:
    pictures = []
    for seed in range(25):
        pictures += [
            photograph(tmp_path / f"{seed}.jpg", seed),
            photograph(tmp_path / f"{seed}-again.jpg", seed, quality=60),
        ]
    manifest = build(pictures)
    by_name = {Path(entry.path).stem: entry.part for entry in manifest.entries}
    assert all(by_name[f"{seed}"] == by_name[f"{seed}-again"] for seed in range(25))
    assert len({entry.group for entry in manifest.entries}) == 25
    assert set(by_name.values()) == {"train", "val", "test"}


def test_every_class_has_its_share_in_every_part(tmp_path: Path) -> None:
    manifest = build(some(tmp_path, range(140)))
    shares = Counter((entry.part, entry.faces[0].label) for entry in manifest.entries)
    assert [shares[part, "without_mask"] for part in ("train", "val", "test")] == [16, 2, 2]
    assert [shares[part, "with_mask"] for part in ("train", "val", "test")] == [96, 12, 12]


def test_the_same_pictures_in_another_order_are_the_same_manifest(tmp_path: Path) -> None:
    pictures = some(tmp_path, range(30))
    assert build(pictures[::-1]) == build(pictures)


def test_what_was_decided_stands_when_others_are_added(tmp_path: Path) -> None:
    first = build(some(tmp_path, range(40)))
    second = build(some(tmp_path, range(40, 80), "more"), previous=first)
    assert second.parent == first.sha256
    assert parts(first).items() <= parts(second).items()
    assert {entry.part for entry in second.entries if entry.source == "more"} == {
        "train",
        "val",
    }  # the test part is frozen


def test_what_looks_like_a_picture_of_the_test_part_goes_nowhere_and_says_so(tmp_path: Path) -> None:
    first = build(some(tmp_path, range(40)))
    (seed, *_) = (int(Path(entry.path).stem) for entry in first.part("test"))
    (other, *_) = (int(Path(entry.path).stem) for entry in first.part("val"))
    again = [photograph(tmp_path / f"again-{s}.jpg", s, quality=60, source="more") for s in (seed, other)]
    second = build(again, previous=first)
    added = {entry.path: entry for entry in second.entries if entry.source == "more"}
    assert [added[str(picture.path)].part for picture in again] == ["left out", "val"]
    assert "frozen" in added[str(again[0].path)].why


def test_the_same_bytes_twice_are_counted_once_and_named(tmp_path: Path) -> None:
    pictures = [photograph(tmp_path / f"{name}.jpg", 3) for name in ("a", "b")]
    manifest = build(pictures)
    assert [(Path(entry.path).stem, entry.why) for entry in manifest.part("left out")] == [
        ("b", "the same bytes as a.jpg of test")
    ]
    assert len(build(pictures, previous=manifest).entries) == 2


def test_what_was_left_out_as_the_same_bytes_does_not_hide_the_picture_that_was_not(tmp_path: Path) -> None:
    pictures = some(tmp_path, range(40))
    copies = [
        msgspec.structs.replace(picture, path=Path(shutil.copy(picture.path, tmp_path / f"z-{picture.path.name}")))
        for picture in pictures
    ]
    first = build([*pictures, *copies])
    again = [photograph(tmp_path / f"{n}-again.jpg", n, quality=60, source="more") for n in range(40)]
    second = build(again, previous=first)
    part = {Path(entry.path).stem: entry.part for entry in first.entries}
    wanted = {"train": "train", "val": "val", "test": "left out"}
    added = [entry for entry in second.entries if entry.source == "more"]
    assert {entry.part for entry in first.entries} == {"train", "val", "test", "left out"}
    assert all(entry.part == wanted[part[Path(entry.path).stem.removesuffix("-again")]] for entry in added)
    # Nor is one that is all black a look-alike of what has no fingerprint.
    black = tmp_path / "black.png"
    cv2.imwrite(str(black), np.zeros((64, 64, 3), np.uint8))
    third = build([Picture(black, "more", 64, 64, ())], previous=first)
    assert [entry.part for entry in third.entries if entry.source == "more"] == ["train"]


def test_without_anything_new_it_is_the_version_that_it_was(tmp_path: Path) -> None:
    pictures = some(tmp_path, range(6))
    first = build(pictures)
    assert build(pictures, previous=first) == first == build([], previous=first)
    assert build(pictures, previous=Manifest(())) == first


def test_twins_and_bursts_stay_together(tmp_path: Path) -> None:
    pictures = some(tmp_path, range(40))
    twins = [msgspec.structs.replace(p, twin=p.path.stem) for p in some(tmp_path, range(100, 140), "large")]
    twins = [msgspec.structs.replace(twin, twin=f"{int(twin.path.stem) - 100}") for twin in twins]
    burst = [msgspec.structs.replace(p, burst=Burst("door-2", 615)) for p in some(tmp_path, range(200, 206), "camera")]
    manifest = build([*pictures, *twins, *burst])
    groups = {(entry.source, Path(entry.path).stem): (entry.group, entry.part) for entry in manifest.entries}
    assert all(groups["test", f"{n}"] == groups["large", f"{n + 100}"] for n in range(40))
    assert len({groups["camera", f"{n}"] for n in range(200, 206)}) == 1


@pytest.mark.parametrize("large_first", [True, False])
def test_twins_stay_together_across_versions(tmp_path: Path, *, large_first: bool) -> None:
    small = some(tmp_path, range(40))
    large = [
        msgspec.structs.replace(p, twin=f"{int(p.path.stem) - 100}") for p in some(tmp_path, range(100, 140), "large")
    ]
    earlier, later = (large, small) if large_first else (small, large)
    save(build(earlier), tmp_path / "first.json")
    part = {Path(e.path).stem: e.part for e in build(later, previous=load(tmp_path / "first.json")).entries}
    pairs = {(part[f"{n + 100}"], part[f"{n}"]) for n in range(40)}
    frozen = ("test", "left out") if large_first else ("left out", "test")
    assert pairs == {("train", "train"), ("val", "val"), frozen}


def test_a_twin_that_an_earlier_version_was_not_told_of_is_kept_from_then_on(tmp_path: Path) -> None:
    pictures = some(tmp_path, range(4))
    first = build(pictures)
    told = build([msgspec.structs.replace(picture, twin="x") for picture in pictures], previous=first)
    assert ({entry.twin for entry in told.entries}, told.sha256) == ({"x"}, first.sha256)


def test_a_picture_of_the_same_bytes_speaks_for_its_twin(tmp_path: Path) -> None:
    pictures = some(tmp_path, range(30))
    copies = [
        msgspec.structs.replace(p, path=Path(shutil.copy(p.path, tmp_path / f"z{p.path.stem}.jpg"))) for p in pictures
    ]
    large = [
        msgspec.structs.replace(p, twin=f"z{int(p.path.stem) - 100}") for p in some(tmp_path, range(100, 130), "large")
    ]
    group_of = {Path(entry.path).stem: entry.group for entry in build([*pictures, *copies, *large]).entries}
    assert all(group_of[f"{n}"] == group_of[f"{n + 100}"] for n in range(30))


@pytest.mark.parametrize("at_once", [True, False])
def test_drawn_people_that_look_like_a_photograph_that_judges_are_left_out(tmp_path: Path, *, at_once: bool) -> None:
    photographs = some(tmp_path, range(60))
    alone = [photograph(tmp_path / f"d{seed}.jpg", seed, quality=60, source="drawn") for seed in range(60)]
    first = None if at_once else build(photographs)
    manifest = build(
        [*photographs, *alone] if at_once else alone, previous=first, train_only=frozenset({"drawn"})
    )  # fmt: skip
    part = {Path(entry.path).stem: (entry.part, entry.why) for entry in manifest.entries}
    says = {
        "train": ("train", ""),
        "val": ("left out", "looks like a picture of the val part, where its source may not be"),
        "test": ("left out", "looks like a picture of the test part, which is frozen"),
    }
    if at_once:
        says["test"] = ("left out", "looks like a picture of the test part, where its source may not be")
    assert {part[f"{n}"][0] for n in range(60)} == {"train", "val", "test"}
    assert all(part[f"d{n}"] == says[part[f"{n}"][0]] for n in range(60))


def test_drawn_people_never_judge(tmp_path: Path) -> None:
    manifest = build(some(tmp_path, range(30)), train_only=frozenset({"test"}))
    assert len(manifest.part("train")) == 30


def test_a_third_of_an_installation_s_labels_is_held_out_whatever_comes_later(tmp_path: Path) -> None:
    labels = some(tmp_path, range(60), "labels")
    first = build(labels[:20], labels=frozenset({"labels"}))
    both = build(labels[20:], previous=first, labels=frozenset({"labels"}))
    at_once = build(labels, labels=frozenset({"labels"}))
    assert parts(both) == parts(at_once)
    assert set(parts(both).values()) == {"train", "holdout"}
    assert 10 <= len(both.part("holdout")) <= 30


def test_what_was_learnt_from_never_judges_whatever_look_alike_is_labelled_later(tmp_path: Path) -> None:
    def imported(number: int, quality: int, labelled: datetime) -> Picture:
        picture = photograph(tmp_path / f"{number}-{quality}.jpg", number, quality=quality)
        return msgspec.structs.replace(picture, labelled=labelled)

    noon = datetime(2026, 11, 1, 12, tzinfo=UTC)
    known = [imported(number, 95, noon) for number in range(40)]
    later = [imported(number, 60, noon + timedelta(days=1)) for number in range(40)]
    early = parts(build(known, labels=frozenset({"test"})))
    both = parts(build([*known, *later], labels=frozenset({"test"})))
    assert {name: both[name] for name in early} == early
    assert set(early.values()) == {"train", "holdout"}


def test_frames_of_a_camera_that_does_not_move_teach_and_judge_by_the_minute(tmp_path: Path) -> None:
    # All of them look the same; they are told apart by when they were taken.
    frames = [
        msgspec.structs.replace(
            photograph(tmp_path / f"{number}.jpg", 1, quality=95 - number, source="door"),
            burst=Burst("door", number // 2),
        )
        for number in range(40)
    ]
    early = parts(build(frames[::2], labels=frozenset({"door"})))
    later = build(frames, labels=frozenset({"door"}))
    assert {name: parts(later)[name] for name in early} == early
    assert set(early.values()) == {"train", "holdout"}
    by_minute = {(Path(entry.path).stem, entry.part) for entry in later.entries}
    assert all(
        ((f"{2 * n}", part) in by_minute) == ((f"{2 * n + 1}", part) in by_minute)
        for n in range(20)
        for part in ("train", "holdout")
    )


def test_a_source_can_be_left_out(tmp_path: Path) -> None:
    manifest = build([*some(tmp_path, range(10)), *some(tmp_path, range(20, 30), "more")])
    assert manifest.without(frozenset({"more"})).sources == ["test"]
    with pytest.raises(ManifestError, match="no source is called voc; there are more, test"):
        manifest.without(frozenset({"voc"}))


def test_the_hash_changes_if_and_only_if_the_content_does(tmp_path: Path) -> None:
    manifest = build([photograph(tmp_path / "a.jpg", 1)])
    assert build([photograph(tmp_path / "moved" / "b.jpg", 1)]).sha256 == manifest.sha256
    assert build([photograph(tmp_path / "a.jpg", 2)]).sha256 != manifest.sha256


@given(
    st.sampled_from(["sha256", "source", "group", "part", "faces"]),
    st.sampled_from(["path", "width", "height", "fingerprint", "why", "twin"]),
)
def test_the_hash_is_of_what_is_learnt_from_and_judged_on(inside: str, outside: str) -> None:
    entry = Entry("ab", "a.jpg", "s", 1, 1, "ab", "train", ())
    other = {"part": "val", "faces": (MarkedFace("with_mask", BOX),), "width": 2, "height": 2}
    hashes = [
        Manifest((msgspec.structs.replace(entry, **{field: other.get(field, "cd")}),)).sha256
        for field in (inside, outside)
    ]
    assert hashes[0] != Manifest((entry,)).sha256 == hashes[1]


def test_a_manifest_comes_back_as_it_was_saved(tmp_path: Path) -> None:
    manifest = build(some(tmp_path, range(3)))
    save(manifest, tmp_path / "build" / "manifest.json")
    assert load(tmp_path / "build" / "manifest.json") == manifest


def test_an_altered_manifest_is_refused(tmp_path: Path) -> None:
    save(build(some(tmp_path, range(3))), tmp_path / "m.json")
    (tmp_path / "m.json").write_text((tmp_path / "m.json").read_text().replace('"train"', '"test"', 1))
    with pytest.raises(ManifestError, match="was altered"):
        load(tmp_path / "m.json")


@pytest.mark.parametrize(
    ("text", "says"),
    [(None, "no manifest at"), (b"[]", "is not a manifest"), (b'{"sha256": "\xff"}', "is not a manifest")],
)
def test_what_is_no_manifest_is_named(tmp_path: Path, text: bytes | None, says: str) -> None:
    if text is not None:
        (tmp_path / "m.json").write_bytes(text)
    with pytest.raises(ManifestError, match=says):
        load(tmp_path / "m.json")


def test_a_manifest_needs_pictures_that_can_be_decoded(tmp_path: Path) -> None:
    with pytest.raises(ManifestError, match="at least one picture"):
        build([])
    picture = photograph(tmp_path / "a.jpg", 1)
    picture.path.write_bytes(b"no picture")
    with pytest.raises(CatalogueError, match="cannot be decoded"):
        build([picture])


def test_a_picture_that_was_replaced_or_is_gone_since_it_was_imported_is_named(tmp_path: Path) -> None:
    picture = photograph(tmp_path / "a.jpg", 1)
    (entry,) = build([picture]).entries
    imported = msgspec.structs.replace(picture, sha256=entry.sha256)
    assert build([imported]).entries == (entry,)
    photograph(tmp_path / "a.jpg", 2)
    with pytest.raises(CatalogueError, match=r"a\.jpg is not the picture that was imported: import again"):
        build([imported])
    picture.path.unlink()
    with pytest.raises(CatalogueError, match=r"a\.jpg cannot be read \(No such file or directory\): .*import again"):
        build([imported])


def test_a_manifest_that_cannot_be_written_says_where(tmp_path: Path) -> None:
    (tmp_path / "taken").touch()
    with pytest.raises(ManifestError, match=r"taken/m\.json cannot be written \(.*\): name a file that can"):
        save(build(some(tmp_path, range(3))), tmp_path / "taken" / "m.json")


@given(st.lists(st.lists(st.booleans(), min_size=64, max_size=64), min_size=1, max_size=6))
def test_groups_do_not_depend_on_the_order(bits: list[list[bool]]) -> None:
    names = [f"{index}" for index in range(len(bits))]
    forward = dict(zip(names, group(names, look_alikes(np.array(bits))), strict=True))
    backward = dict(zip(names[::-1], group(names[::-1], look_alikes(np.array(bits[::-1]))), strict=True))
    assert forward == backward


def test_an_empty_manifest_has_no_part() -> None:
    assert Manifest(()).part("train") == []
