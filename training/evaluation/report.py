"""What an evaluation found, as data that is kept as JSON and as the Markdown that people read."""

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

import msgspec

from maskwatch.messages import CLASSES, Label
from maskwatch.model import Precision, ShapeName
from training.errors import EvaluationError
from training.evaluation.bootstrap import Interval
from training.evaluation.compare import Difference
from training.evaluation.footprint import Footprint
from training.evaluation.points import Calibration, Points
from training.evaluation.published import Published
from training.evaluation.sightings import SizeBin

FILE = "report.json"
EVERYTHING = "all"
"""The sources together."""


class ClassFigures(msgspec.Struct, frozen=True):
    """How well one class is found."""

    boxes: int
    ap50: Interval
    ap50_95: Interval


class Figures(msgspec.Struct, frozen=True):
    """COCO's average precision on a set of pictures; means over the classes that the set shows."""

    pictures: int
    boxes: int
    map50: Interval
    map50_95: Interval
    classes: dict[Label, ClassFigures]
    """Without those that no picture shows."""


class SetReport(msgspec.Struct, frozen=True):
    """One set of pictures, through one input, at one precision."""

    source: str
    shape: ShapeName
    precision: Precision
    figures: Figures
    published: Published | None
    """As Ultralytics counts; None where it is not installed."""
    serving: Points
    """At the score that workers report from."""
    best: Points
    """At the score with the best F1."""
    sizes_in_picture: tuple[SizeBin, ...]
    sizes_in_input: tuple[SizeBin, ...]
    calibration: Calibration
    confusion: tuple[tuple[int, ...], ...]
    """At the serving score: rows are true classes, then no face; columns are answers, then missed."""

    @property
    def title(self) -> str:
        """Name it for people."""
        return f"{self.source}, {self.shape}, {self.precision}"


class ViewReport(msgspec.Struct, frozen=True):
    """One set of pictures, shown in another way than they are."""

    view: str
    source: str
    shape: ShapeName
    precision: Precision
    figures: Figures
    serving: Points
    gain: Interval | None
    """Of mAP50 over the same pictures as they are; None where not all of them can be shown that way."""


class Comparison(msgspec.Struct, frozen=True):
    """Two models, or two precisions of one, on the same pictures."""

    first: str
    second: str
    source: str
    shape: ShapeName
    differences: Mapping[str, Difference]


class Report(msgspec.Struct, frozen=True):
    """Everything that one evaluation found."""

    name: str
    version: str
    files: dict[Precision, str]
    """SHA-256 of each precision that was judged."""
    shapes: dict[ShapeName, tuple[int, int]]
    manifest: str
    part: str
    score: float
    """That workers report from."""
    sets: tuple[SetReport, ...]
    footprints: tuple[Footprint, ...]
    precisions: tuple[Comparison, ...] = ()
    """Each precision against FP32."""
    against: tuple[Comparison, ...] = ()
    """This model against another."""
    robustness: tuple[ViewReport, ...] = ()
    scales: tuple[ViewReport, ...] = ()


def save(report: Report, path: Path) -> None:
    """Write a report as JSON."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(msgspec.json.format(msgspec.json.encode(report)) + b"\n")


def load(path: Path) -> Report:
    """Read a report.

    Raises
    ------
    EvaluationError
        If the file is missing or is no report.
    """
    try:
        return msgspec.json.decode(path.read_bytes(), type=Report)
    except OSError as error:
        raise EvaluationError(f"{path} cannot be read: {error}; «maskwatch evaluate» writes it") from error
    except msgspec.MsgspecError as error:
        raise EvaluationError(f"{path} is no report of an evaluation: {error}") from error


def markdown(report: Report) -> str:
    """Write a report for people.

    Parameters
    ----------
    report
        What was found.

    Returns
    -------
    str
        Sections of tables, of the second level.
    """
    # The precision that serves comes last, and most tables are long: JSON has those of the others.
    serving = [one for one in report.sets if one.precision == report.sets[-1].precision]
    sections = {
        "Average precision": precision_table(report.sets),
        "Class by class": class_table(report.sets),
        f"Thresholds (workers report from {report.score:g})": _threshold_table(report.sets),
        "By size of the face": _size_table(serving),
        "What was told of what": "\n\n".join(f"{one.title}\n\n{_confusion_table(one)}" for one in serving),
        "Are scores probabilities?": _calibration_table(serving),
        "Precisions against FP32": comparison_table(report.precisions),
        "Against another model": comparison_table(report.against),
        "Pictures as bad cameras send them": robustness_table(report.robustness),
        "Faces from tiny to filling the frame": scale_table(report.scales),
        "Speed and memory": footprint_table(report.footprints),
    }
    head = (
        f"# {report.name}, version {report.version}\n\nThe part «{report.part}» of manifest "
        f"`{report.manifest[:12]}`. In brackets: the 95 % interval over resamples of the pictures.\n"
    )
    return "\n".join([head, *(f"## {title}\n\n{text}\n" for title, text in sections.items() if text)])


def table(head: Sequence[str], rows: Iterable[Sequence[object]]) -> str:
    """Lay rows out as Markdown; empty without any.

    Examples
    --------
    >>> print(table(["a", "b"], [(1, None), (0.25, "x")]))
    | a | b |
    | --- | --- |
    | 1 | - |
    | 0.250 | x |
    """
    lines = ["| " + " | ".join(_cell(cell) for cell in row) + " |" for row in rows]
    if not lines:
        return ""
    return "\n".join(["| " + " | ".join(head) + " |", "| " + " | ".join("---" for _ in head) + " |", *lines])


def _cell(value: object) -> str:
    if value is None:
        return "-"
    return f"{value:.3f}" if isinstance(value, float) else str(value)


def precision_table(sets: Sequence[SetReport]) -> str:
    """Lay out average precision, COCO's and Ultralytics'."""
    return table(
        ["set", "pictures", "faces", "mAP50", "mAP50-95", "mAP50 (Ultralytics)", "mAP50-95 (Ultralytics)"],
        [
            (
                one.title,
                one.figures.pictures,
                one.figures.boxes,
                one.figures.map50,
                one.figures.map50_95,
                one.published and one.published.map50,
                one.published and one.published.map50_95,
            )
            for one in sets
        ],
    )


def class_table(sets: Sequence[SetReport]) -> str:
    """Lay out AP50 class by class, with the number of true faces."""
    return table(
        ["set", *(f"{name} (faces): AP50" for name in CLASSES)],
        [(one.title, *(_class_cell(one.figures, name) for name in CLASSES)) for one in sets],
    )


def _class_cell(figures: Figures, name: Label) -> str | None:
    mine = figures.classes.get(name)
    return f"({mine.boxes}) {mine.ap50}" if mine else None


def _threshold_table(sets: Sequence[SetReport]) -> str:
    return table(
        ["set", "from score", *(f"{name}: precision, recall" for name in ("all faces", *CLASSES))],
        [
            (one.title, points.score, *(_points_cell(point) for point in (points.everything, *points.classes.values())))
            for one in sets
            for points in (one.serving, one.best)
        ],
    )


def _points_cell(point: object) -> str:
    return ", ".join(_cell(value) for value in (getattr(point, "precision", None), getattr(point, "recall", None)))


def _size_table(sets: Sequence[SetReport]) -> str:
    return table(
        ["set", "size in", "size", "faces", "found", "found and told rightly", "mAP50"],
        [
            (one.title, where, row.sizes, row.boxes, row.found, row.right, row.map50)
            for one in sets
            for where, rows in (("picture", one.sizes_in_picture), ("input", one.sizes_in_input))
            for row in rows
            if row.boxes
        ],
    )


def _confusion_table(one: SetReport) -> str:
    rows = zip((*CLASSES, "no face"), one.confusion, strict=True)
    return table(["true", *CLASSES, "missed"], [(name, *counts) for name, counts in rows])


def _calibration_table(sets: Sequence[SetReport]) -> str:
    return table(
        ["set", "error", *(f"{row.low:.1f}-{row.high:.1f}" for row in sets[0].calibration.bins)] if sets else [],
        [(one.title, one.calibration.error, *(row.right for row in one.calibration.bins)) for one in sets],
    )


def comparison_table(comparisons: Sequence[Comparison]) -> str:
    """Lay out two models' figures on the same pictures."""
    return table(
        ["pictures", "first", "second", "figure", "first is", "second is", "difference", "P(first better)"],
        [
            (f"{one.source}, {one.shape}", one.first, one.second, name, row.first, row.second, row.gain, row.p_better)
            for one in comparisons
            for name, row in one.differences.items()
        ],
    )


def robustness_table(rows: Sequence[ViewReport]) -> str:
    """Lay out figures on changed pictures."""
    return table(
        ["change and strength", "pictures", "mAP50", "difference", "mAP50-95", "precision, recall"],
        [
            (
                row.view,
                f"{row.source}, {row.shape}, {row.precision}",
                row.figures.map50,
                row.gain,
                row.figures.map50_95,
                _points_cell(row.serving.everything),
            )
            for row in rows
        ],
    )


def scale_table(rows: Sequence[ViewReport]) -> str:
    """Lay out figures on pictures at several scales."""
    return table(
        ["largest face", "pictures", "shown", "faces", "mAP50", "mAP50-95", "precision, recall"],
        [
            (
                row.view,
                f"{row.source}, {row.shape}, {row.precision}",
                row.figures.pictures,
                row.figures.boxes,
                row.figures.map50,
                row.figures.map50_95,
                _points_cell(row.serving.everything),
            )
            for row in rows
        ],
    )


def footprint_table(rows: Sequence[Footprint]) -> str:
    """Lay out speed and memory."""
    return table(
        ["precision", "input", "pictures", "median", "p95", "memory of the process"],
        [
            (
                row.precision,
                row.shape,
                row.pictures,
                f"{row.median_ms:.1f} ms",
                f"{row.p95_ms:.1f} ms",
                f"{row.rss_mb:.0f} MB",
            )
            for row in rows
        ],
    )


def save_figures(report: Report, path: Path) -> None:
    """Write the average precisions alone, set by set, for whoever lists models.

    Sets are of the test part, or their names say of which: figures of different pictures are not compared.
    """
    part = "" if report.part == "test" else f"{report.part}, "
    figures = {f"{part}{one.title}": one.figures for one in report.sets}
    path.write_bytes(msgspec.json.format(msgspec.json.encode(figures)) + b"\n")
