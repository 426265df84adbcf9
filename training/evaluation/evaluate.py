"""Judge an exported model in the serving runtime, on pictures that it was not trained on.

The same files that workers load answer through the same code; pycocotools does the arithmetic. Sources are judged one
by one, for they differ in what their boxes are worth, and together.
"""

import functools
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Any, NamedTuple

import click
import msgspec

from maskwatch.command import Progress
from maskwatch.degradation import CHANGES, STRENGTHS, Change
from maskwatch.messages import CLASSES, DetectedFace
from maskwatch.model import Precision, ShapeName, read_card
from maskwatch.pictures import letterbox
from maskwatch.settings import Settings
from training.artefact.export import read_provenance
from training.artefact.exported import FIGURES
from training.datasets.manifest import Entry, Manifest
from training.datasets.manifest import load as load_manifest
from training.datasets.split import Part
from training.errors import EvaluationError
from training.evaluation import bootstrap
from training.evaluation.answers import Examinee
from training.evaluation.card import write as write_card
from training.evaluation.compare import compare
from training.evaluation.footprint import Footprint, Job, measure
from training.evaluation.points import best_score, calibration, points
from training.evaluation.published import available, published
from training.evaluation.report import (
    EVERYTHING,
    FILE,
    ClassFigures,
    Comparison,
    Figures,
    Report,
    SetReport,
    ViewReport,
    markdown,
    save,
    save_figures,
)
from training.evaluation.scores import Matches, judge, matches, precisions
from training.evaluation.sightings import by_size, confusion, sightings
from training.evaluation.views import ANGLES, SIDES, View, changed, pasted, plain, rendered, turned

TIMED = 100
"""Pictures that speed is measured on, at most."""


class Request(msgspec.Struct, frozen=True, kw_only=True):
    """What is to be judged, and how thoroughly."""

    out: Path
    """Answers are kept here, and pictures drawn."""
    part: Part = "test"
    sources: tuple[str, ...] = ()
    """All of the manifest's without one."""
    shapes: tuple[ShapeName, ...] = ("wide", "square")
    precisions: tuple[Precision, ...] = ()
    """All of the model's without one."""
    score: float = 0.4
    """That workers report from."""
    against: Path | None = None
    """Another model's folder."""
    changes: tuple[Change, ...] = ()
    """Of :mod:`maskwatch.degradation`, each in every strength."""
    angles: tuple[int, ...] = ()
    """Degrees by which pictures are turned."""
    sides: tuple[int, ...] = ()
    """Longest side of the largest face on a canvas, in pixels."""
    speed: bool = True
    pictures: bool = True


class _Set(NamedTuple):
    """Pictures of one source, or of all, and what was answered."""

    source: str
    entries: list[Entry]
    faces: list[tuple[DetectedFace, ...]]


Tell = Callable[[str, float], None]
"""Is told what is going on, and which share of it is done."""


def evaluate(folder: Path, manifest: Manifest, request: Request, tell: Tell = lambda _, __: None) -> Report:
    """Run an exported model over pictures and score it.

    Parameters
    ----------
    folder
        The model, with its ``model.json``.
    manifest
        The data.
    request
        What is to be judged.
    tell
        Is told how far it is.

    Raises
    ------
    EvaluationError
        If there is no picture with a face, one cannot be shown, or the other model has no precision in common.
    ModelError
        If a folder is no model, or lacks a precision.
    """
    by_source = _by_source(manifest, request)
    card = read_card(folder)
    # The one that serves comes last: changed pictures are shown to it alone.
    order = sorted(request.precisions or card.files, key=("fp32", "fp16", "int8").index)
    with ExitStack() as stack:

        def examinees(model: Path, at: Sequence[Precision]) -> list[Examinee]:
            return [stack.enter_context(Examinee(model, precision, request.out / "answers")) for precision in at]

        models = examinees(folder, order)
        rivals = examinees(request.against, _in_common(order, request.against)) if request.against else []
        judged = [_judge_shape(models, rivals, by_source, shape, request, tell) for shape in request.shapes]
        serving = _Question(models[-1], by_source, request.shapes[0], tell)
        views = [changed(change, strength) for change in request.changes for strength in STRENGTHS]
        views += map(turned, request.angles)
        robustness = [row for view in views for row in _judge_view(serving, view, request.score)]
        scales = [row for side in request.sides for row in _judge_view(serving, pasted(side), request.score)]
    return Report(
        name=card.name,
        version=card.version,
        files={precision: card.files[precision].identity for precision in order},
        shapes={shape: card.shapes[shape] for shape in request.shapes},
        manifest=manifest.sha256,
        part=request.part,
        score=request.score,
        sets=tuple(row for one in judged for row in one.sets),
        footprints=_footprints(folder, order, by_source, request, tell) if request.speed else (),
        precisions=tuple(row for one in judged for row in one.precisions),
        against=tuple(row for one in judged for row in one.against),
        robustness=tuple(robustness),
        scales=tuple(scales),
    )


def figures(of: Matches) -> Figures:
    """Work out COCO's figures with their intervals.

    Examples
    --------
    >>> import numpy as np
    >>> from training.evaluation.scores import ClassMatches
    >>> found = ClassMatches(np.array([1, 1]), np.array([0, 1]), np.array([0.9, 0.8]), np.ones((10, 2), bool))
    >>> absent = ClassMatches(np.array([0, 0]), np.array([], int), np.array([]), np.ones((10, 0), bool))
    >>> figures((found, absent, absent)).map50
    Interval(value=1.0, low=1.0, high=1.0)
    """
    resampled = bootstrap.resample(of, bootstrap.weights(len(of[0].boxes)))
    classes = {
        name: ClassFigures(
            int(one.boxes.sum()),
            bootstrap.interval(resampled.ap50[:, index]),
            bootstrap.interval(resampled.ap50_95[:, index]),
        )
        for index, (name, one) in enumerate(zip(CLASSES, of, strict=True))
        if one.boxes.any()
    }
    return Figures(
        len(of[0].boxes),
        sum(row.boxes for row in classes.values()),
        bootstrap.interval(resampled.map50),
        bootstrap.interval(resampled.map50_95),
        classes,
    )


def _by_source(manifest: Manifest, request: Request) -> dict[str, list[Entry]]:
    entries = manifest.part(request.part)
    there = sorted({entry.source for entry in entries})
    if unknown := sorted(set(request.sources) - set(there)):
        raise EvaluationError(
            f"no picture of {', '.join(unknown)} is in the part «{request.part}», only of {', '.join(there) or 'none'}"
        )
    if not there:
        raise EvaluationError(f"there is nothing to evaluate on: the part «{request.part}» is empty")
    by_source = {source: [entry for entry in entries if entry.source == source] for source in request.sources or there}
    if not any(entry.faces for source in by_source.values() for entry in source):
        raise EvaluationError(
            f"there is nothing to evaluate on: no picture of {', '.join(by_source)} in the part «{request.part}» shows "
            "a face"
        )
    return by_source


def _in_common(order: Sequence[Precision], other: Path) -> list[Precision]:
    has = read_card(other).files
    if not (common := [precision for precision in order if precision in has]):
        raise EvaluationError(
            f"{other} has no {', '.join(order)} file, only {', '.join(has)}: both are held against each other at a "
            "precision that both have; choose it with --precision"
        )
    return common


class _Question(NamedTuple):
    """Pictures that a model is shown, and through which input."""

    model: Examinee
    by_source: Mapping[str, list[Entry]]
    shape: ShapeName
    tell: Tell

    def ask(self, view: View) -> Iterator[_Set]:
        """Show every source's pictures; the sources together come last, where there are several.

        Pictures without a face count there; a source that has no others cannot be judged for itself, and is left out.
        """
        together = _Set(EVERYTHING, [], [])
        for source, entries in self.by_source.items():
            title = f"{_title(self.model)} {self.shape}, {source}, {view.name}"
            shown, answers = self.model.answer(entries, self.shape, view, functools.partial(self.tell, title))
            together.entries.extend(shown)
            together.faces.extend(answers.faces)
            if any(entry.faces for entry in shown):
                yield _Set(source, shown, list(answers.faces))
        if len(self.by_source) > 1 and any(entry.faces for entry in together.entries):
            yield together


class _Judged(NamedTuple):
    """What was found through one input."""

    sets: list[SetReport]
    precisions: list[Comparison]
    against: list[Comparison]


def _judge_shape(  # noqa: PLR0913, PLR0917  # what the whole evaluation is about
    models: Sequence[Examinee],
    rivals: Sequence[Examinee],
    by_source: Mapping[str, list[Entry]],
    shape: ShapeName,
    request: Request,
    tell: Tell,
) -> _Judged:
    judged = _Judged([], [], [])
    matched: dict[tuple[str, Precision], Matches] = {}
    for model in models:
        for one in _Question(model, by_source, shape, tell).ask(plain()):
            report, mine = _judge_set(one, model, shape, request)
            judged.sets.append(report)
            matched[one.source, model.precision] = mine
            exact = matched.get((one.source, "fp32"))
            if exact is not None and model.precision != "fp32":
                differences = compare(mine, exact)
                judged.precisions.append(Comparison(model.precision, "fp32", one.source, shape, differences))
    by_precision = {model.precision: model for model in models}
    for rival in rivals:
        model = by_precision[rival.precision]
        for one in _Question(rival, by_source, shape, tell).ask(plain()):
            differences = compare(matched[one.source, model.precision], matches(judge(one.entries, one.faces)))
            judged.against.append(Comparison(_title(model), _title(rival), one.source, shape, differences))
    return judged


def _judge_set(one: _Set, model: Examinee, shape: ShapeName, request: Request) -> tuple[SetReport, Matches]:
    evaluation = judge(one.entries, one.faces)
    mine = matches(evaluation)
    seen = sightings(one.entries, one.faces, request.score)
    counts = confusion(seen)
    size = model.card.shapes[shape]
    factors = [letterbox((entry.width, entry.height), size).scale for entry in one.entries]
    report = SetReport(
        source=one.source,
        shape=shape,
        precision=model.precision,
        figures=figures(mine),
        published=published(one.entries, one.faces) if available() else None,
        serving=points(mine, request.score),
        best=points(mine, best_score(mine)),
        sizes_in_picture=by_size(one.entries, one.faces, seen),
        sizes_in_input=by_size(one.entries, one.faces, seen, factors),
        calibration=calibration(mine),
        confusion=tuple(tuple(int(count) for count in row) for row in counts),
    )
    if request.pictures:
        from training.evaluation import drawing  # noqa: PLC0415  # Matplotlib, a second, and only for this

        stem = request.out / "pictures" / f"{one.source}-{shape}-{model.precision}"
        stem.mkdir(parents=True, exist_ok=True)
        drawing.draw_curves(precisions(evaluation), stem / "curves.png")
        drawing.draw_confusion(counts, stem / "confusion.png")
        drawing.draw_calibration(report.calibration, stem / "calibration.png")
        drawing.draw_worst(one.entries, one.faces, seen, plain(), request.score, stem / "worst")
    return report, mine


def _judge_view(question: _Question, view: View, score: float) -> Iterator[ViewReport]:
    as_they_are = {one.source: one for one in question.ask(plain())}
    for one in question.ask(view):
        mine, before = matches(judge(one.entries, one.faces)), as_they_are[one.source]
        same = [len(entry.faces) for entry in one.entries] == [len(entry.faces) for entry in before.entries]
        gain = compare(mine, matches(judge(before.entries, before.faces)))["mAP50"].gain if same else None
        yield ViewReport(
            view=view.name,
            source=one.source,
            shape=question.shape,
            precision=question.model.precision,
            figures=figures(mine),
            serving=points(mine, score),
            gain=gain,
        )


def _footprints(
    folder: Path,
    order: Sequence[Precision],
    by_source: Mapping[str, list[Entry]],
    request: Request,
    tell: Tell,
) -> tuple[Footprint, ...]:
    entries = [entry for source in by_source.values() for entry in source]
    measured = []
    with rendered(entries, TIMED) as files:
        for number, (precision, shape) in enumerate((p, s) for p in order for s in request.shapes):
            tell(f"speed, {precision} {shape}", number / (len(order) * len(request.shapes)))
            measured.append(measure(Job(str(folder.resolve()), precision, shape, files)))
    return tuple(measured)


def _title(model: Examinee) -> str:
    return f"{model.card.name} {model.card.version} {model.precision}"


def command(  # noqa: PLR0913  # a command line
    settings: Settings,
    model: Path,
    manifest: Path,
    options: Mapping[str, Any],
    *,
    robustness: bool,
    scales: bool,
    card: bool,
    as_json: bool,
) -> str:
    """Evaluate for ``maskwatch evaluate``: write the report, and return it as it is to be printed."""
    data = load_manifest(manifest)
    if card and options["part"] == "train":
        raise EvaluationError("a card tells what a model does on pictures that it was not trained on: use --part test")
    request = Request(
        score=settings.detector.score,
        changes=CHANGES if robustness else (),
        angles=ANGLES if robustness else (),
        sides=SIDES if scales else (),
        **options,
    )
    with Progress("evaluate") as progress:

        def tell(title: str, share: float) -> None:
            if progress.due:
                progress.show(share, title)

        found = evaluate(model, data, request, tell)
    save(found, request.out / FILE)
    text = markdown(found)
    (request.out / "report.md").write_text(text, encoding="utf-8")
    if card:
        provenance = read_provenance(model)
        (model / "card.md").write_text(write_card(data, found, provenance), encoding="utf-8")
        save_figures(found, model / FIGURES)
    click.echo(f"kept in {request.out}", err=True)
    return (request.out / FILE).read_text(encoding="utf-8") if as_json else text
