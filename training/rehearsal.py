"""What a round of the learning loop trains on and is judged by: people's labels, and what must not be forgotten.

Where the base set lies here, a seeded choice of its train part is rehearsed, and its frozen test part judges too.
Elsewhere, which is every stranger's installation, people of the demo scene are rehearsed, and nothing is frozen.
"""

import random
import subprocess
import sys
from collections.abc import Iterable, Iterator
from pathlib import Path

import msgspec
import structlog

from maskwatch.errors import MessageError
from maskwatch.files import write_whole
from maskwatch.label_messages import FrameLabel
from maskwatch.learning_settings import RetrainSettings
from maskwatch.messages import decode
from maskwatch.rounds import REHEARSED_A_LABEL
from maskwatch.settings import PROJECT, Settings
from maskwatch.store import Store
from training.datasets import importing
from training.datasets import manifest as manifests
from training.datasets.catalogue import Picture
from training.datasets.manifest import Entry, Manifest
from training.datasets.split import Burst
from training.errors import TrainingError

PSEUDO = "by a model: "
"""Before the name of a camera: what a model says of itself is no label of that camera."""
DRAW_LIMIT_S = 1800
JUDGED = 150
"""Pictures of val that choose the best epoch, at most."""
JUDGES = frozenset({"val", "test"})

log = structlog.get_logger(__name__)


def labels(store: Store) -> list[FrameLabel]:
    """Return what people say, by the hash of the picture; pictures that were erased or only skipped are not in it.

    Raises
    ------
    StoreError
        If the store does not answer.
    """
    return sorted((one for one in _told(store) if one.counts), key=lambda one: one.sha256)


def by_models(store: Store, settings: Settings) -> list[FrameLabel]:
    """Return what models say of themselves, by the hash of the picture, under a source of its own; none unless set.

    Raises
    ------
    StoreError
        If the store does not answer.
    """
    if not settings.labels.pseudo:
        return []
    pseudo = (one for one in _told(store) if one.state == "labelled" and one.made_by == "model")
    return sorted(
        (msgspec.structs.replace(one, source=f"{PSEUDO}{one.source}") for one in pseudo), key=lambda one: one.sha256
    )


def _told(store: Store) -> Iterator[FrameLabel]:
    for record in store.labels():
        try:
            yield decode(record, FrameLabel)
        except MessageError as error:
            log.warning("a label in the store cannot be read, and is left out", error=str(error))


def pictures(of: Iterable[FrameLabel], store: Store, folder: Path, burst_s: float) -> list[Picture]:
    """Bring the pictures of labels to this machine; those of one camera's `burst_s` seconds stand on one side.

    Returns
    -------
    list of Picture
        Without those whose picture the store has no more.

    Raises
    ------
    StoreError
        If the store does not answer.
    """
    folder.mkdir(parents=True, exist_ok=True)
    found = []
    for label in of:
        path = folder / f"{label.sha256}.jpg"
        if not path.exists():
            jpeg = store.get(label.sha256)
            if jpeg is None:
                continue
            write_whole(path, jpeg)
        camera = label.source.removeprefix(PSEUDO)
        burst = Burst(camera, int(label.captured.timestamp() // burst_s)) if label.captured else None
        found.append(
            Picture(
                path, label.source, label.width, label.height, label.faces,
                burst=burst, sha256=label.sha256, labelled=label.at,
            )
        )  # fmt: skip
    return found


def base(settings: RetrainSettings, folder: Path) -> Manifest:
    """Return what is rehearsed and judged beside the labels: the base set if it lies here, else people who are drawn.

    Raises
    ------
    TrainingError
        If nothing can be drawn.
    """
    if settings.base is not None and settings.base.exists():
        known = manifests.load(settings.base)
        there = [placed for entry in known.entries if (placed := _placed(entry)) is not None]
        judging = sum(entry.part in JUDGES for entry in known.entries)
        # Without some of what is trained on it is the same judge; without some of what judges it is another.
        if sum(entry.part in JUDGES for entry in there) == judging:
            return Manifest(tuple(there), known.parent)
    return _drawn(settings, folder)


def lesson(data: Manifest, labelled: frozenset[str], settings: RetrainSettings) -> tuple[Manifest, dict[str, float]]:
    """Choose what of a version a round trains on.

    Parameters
    ----------
    data
        The whole version.
    labelled
        Sources that are people's labels.
    settings
        How much is rehearsed, and of which seed.

    Returns
    -------
    manifest, shares
        All labels of the train part, a seeded choice of the rest and of val; and how often each source's pictures
        are drawn, so that an epoch has at most :data:`maskwatch.rounds.REHEARSED_A_LABEL` rehearsed pictures for
        each labelled one.
    """
    train = [entry for entry in data.part("train") if entry.source in labelled]
    rest = [entry for entry in data.part("train") if entry.source not in labelled]
    chance = random.Random(settings.seed)  # noqa: S311  # a choice that can be made again
    rehearsed = chance.sample(rest, min(len(rest), settings.rehearsal))
    val = data.part("val")
    chosen = chance.sample(val, min(len(val), JUDGED))
    share = min(1.0, REHEARSED_A_LABEL * max(1, len(train)) / max(1, len(rehearsed)))
    shares = {entry.source: share for entry in rehearsed} if share < 1 else {}
    return Manifest((*train, *rehearsed, *chosen), data.sha256), shares


def _placed(entry: Entry) -> Entry | None:
    """Find an entry's picture wherever this runs; None if it is not here."""
    for path in (Path(entry.path), PROJECT / entry.path):
        if path.is_file():
            return msgspec.structs.replace(entry, path=str(path))
    return None


def _drawn(settings: RetrainSettings, folder: Path) -> Manifest:
    if not (folder / ".drawn").exists():
        command = [sys.executable, "-m", "maskwatch", "scene", "draw", str(folder), "--count", str(settings.rehearsal)]
        command += ["--seed", str(settings.seed)]
        try:
            subprocess.run(command, check=True, timeout=DRAW_LIMIT_S, capture_output=True)  # noqa: S603  # ours
        except (subprocess.CalledProcessError, subprocess.TimeoutExpired) as error:
            said = (error.stderr or b"").decode(errors="replace").strip()[-500:]
            raise TrainingError(f"people to rehearse could not be drawn into {folder}: {error}: {said}") from error
        (folder / ".drawn").touch()
    made = manifests.build(importing.read((folder,), "voc").pictures)
    # What is drawn judges nothing but epochs.
    kept = [msgspec.structs.replace(e, part="train" if e.part == "test" else e.part) for e in made.entries]
    return Manifest(tuple(kept))
