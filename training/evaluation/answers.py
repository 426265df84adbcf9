"""What a model answers to a set of pictures, in the serving runtime; kept as a file, so that it is asked only once.

Two models are compared by their answers to the same pictures, and a figure that is thought of later needs no second
inference.
"""

import hashlib
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Self

import msgspec

from maskwatch.files import write_whole
from maskwatch.inference import Detected, Detector
from maskwatch.messages import DetectedFace, ModelRef
from maskwatch.model import Precision, ShapeName
from maskwatch.settings import DetectorSettings
from training.artefact.serving_graph import LOWEST_SCORE
from training.datasets.manifest import Entry
from training.errors import EvaluationError
from training.evaluation.views import View

MAX_PIXELS = 10**9
"""Pictures of a data set are trusted."""


class Answers(msgspec.Struct, frozen=True):
    """One model's faces on each picture of a set."""

    model: ModelRef
    precision: Precision
    shape: ShapeName
    size: tuple[int, int]
    """Width and height of the input in pixels."""
    view: str
    pictures: tuple[str, ...]
    """SHA-256 of each picture, before the view."""
    faces: tuple[tuple[DetectedFace, ...], ...]
    """Best score first, down to the graph's own threshold."""
    labels: str = ""
    """SHA-256 of the true faces, where what is shown depends on them."""

    @property
    def key(self) -> str:
        """Name the question that this answers: the same question has the same key, and no other one."""
        asked = (self.model.sha256, self.precision, self.size, self.view, self.pictures, self.labels)
        return _hashed(asked)[:24]


class Examinee:
    """A model that is to be judged, at one precision; a context manager that closes it.

    Parameters
    ----------
    folder
        Holds ``model.json``.
    precision
        Which of its files.
    kept
        Where answers are kept, and looked up before a picture is shown.

    Raises
    ------
    ModelError
        If the folder is no model or lacks that precision.
    """

    def __init__(self, folder: Path, precision: Precision, kept: Path) -> None:
        # One thread with all cores: what counts here is the single picture.
        options = {"precision": precision, "score": LOWEST_SCORE, "max_pixels": MAX_PIXELS, "threads": 1}
        self.folder = folder
        self.precision: Precision = precision
        self._detector = Detector(folder, DetectorSettings.model_validate(options))
        self.card = self._detector.card
        self.ref = self._detector.ref
        self._kept = kept

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._detector.close()

    def answer(
        self, entries: Sequence[Entry], shape: ShapeName, view: View, tell: Callable[[float], None] = lambda _: None
    ) -> tuple[list[Entry], Answers]:
        """Show pictures, or read what was answered before.

        Parameters
        ----------
        entries
            Pictures with their true faces.
        shape
            Which input.
        view
            How they are shown; those that cannot be shown that way are left out.
        tell
            Is told now and then which share is done.

        Returns
        -------
        entries, answers
            What was shown, with the faces as they lie in that view, and the answers in the same order.

        Raises
        ------
        EvaluationError
            If a picture cannot be decoded, or is not of the size that the manifest says.
        """
        pairs = [(entry, shown) for entry in entries if (shown := view.place(entry)) is not None]
        blank = Answers(
            self.ref,
            self.precision,
            shape,
            self.card.shapes[shape],
            view.name,
            tuple(entry.sha256 for entry, _ in pairs),
            (),
            _hashed([entry.faces for entry, _ in pairs]) if view.by_faces else "",
        )
        file = self._kept / f"{blank.key}.json"
        if file.exists():
            return [shown for _, shown in pairs], load(file)
        faces = []
        for number, (entry, shown) in enumerate(pairs):
            (outcome,) = self._detector.look([view.render(entry)], shape)
            if not isinstance(outcome, Detected):
                raise EvaluationError(f"{entry.path}: {outcome.reason}")
            if (outcome.width, outcome.height) != (shown.width, shown.height):
                raise EvaluationError(
                    f"{entry.path} measures {outcome.width}x{outcome.height}, the manifest says "
                    f"{shown.width}x{shown.height}: make the manifest anew"
                )
            faces.append(outcome.faces)
            tell((number + 1) / len(pairs))
        answers = msgspec.structs.replace(blank, faces=tuple(faces))
        write_whole(file, msgspec.json.encode(answers))
        return [shown for _, shown in pairs], answers


def _hashed(what: object) -> str:
    return hashlib.sha256(msgspec.json.encode(what)).hexdigest()


def load(file: Path) -> Answers:
    """Read answers that were kept.

    Raises
    ------
    EvaluationError
        If the file holds no answers.
    """
    try:
        return msgspec.json.decode(file.read_bytes(), type=Answers)
    except msgspec.MsgspecError as error:
        raise EvaluationError(f"{file} holds no answers: {error}; remove it, and they are asked for anew") from error
