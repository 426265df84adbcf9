"""May a candidate take the champion's place? Every condition is told with its bound, its value and what came of it.

The exported files are judged in the serving runtime, through both inputs, by paired bootstrap over pictures. What
cannot be judged is said so and never skipped; where it is essential, the candidate is refused.
"""

import contextlib
import functools
from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import NamedTuple

import click
import msgspec
import numpy as np

from maskwatch.command import Progress
from maskwatch.errors import ModelError
from maskwatch.learning_settings import GateSettings
from maskwatch.messages import CLASSES, ModelRef
from maskwatch.model import Precision, ShapeName, read_card
from maskwatch.model_messages import Condition, Disagreement, Outcome, Verdict
from maskwatch.precision import choose_precision
from maskwatch.settings import Settings
from maskwatch.training_calls import printing_aside
from training import by_source
from training.datasets.manifest import Entry, Manifest
from training.datasets.manifest import load as load_manifest
from training.datasets.split import Part
from training.errors import GateError
from training.evaluation.answers import Examinee
from training.evaluation.bootstrap import RESAMPLES, Interval
from training.evaluation.compare import Difference, chance, compare
from training.evaluation.footprint import Job, measure
from training.evaluation.scores import Faces, Matches, judge, matches
from training.evaluation.sightings import mistakes, sightings
from training.evaluation.views import plain, rendered
from training.shadowing import shadow

SHOWN = 12
"""Pictures of disagreement that a person is shown."""
TIMED = 50
CAMERAS: ShapeName = "wide"
SHAPES: tuple[ShapeName, ...] = (CAMERAS, "square")
FILE = "verdict.json"
PARTS: tuple[Part, ...] = ("holdout", "test")
GAIN = "better on the holdout"
CHANCE = "not by chance"

Tell = Callable[[str, float], None]
"""Is told what is going on, and which share of it is done."""


class Evidence(NamedTuple):
    """What both models answered to the same pictures, through one input."""

    part: Part
    shape: ShapeName
    entries: Sequence[Entry]
    champion: Faces
    candidate: Faces


def conditions(
    evidence: Sequence[Evidence], settings: GateSettings, resamples: int = RESAMPLES
) -> tuple[tuple[Condition, ...], float | None]:
    """Hold the candidate's answers against the champion's.

    Parameters
    ----------
    evidence
        Of each part and input, at most one; a part without pictures is left out.
    settings
        The bounds.
    resamples
        For each comparison.

    Returns
    -------
    conditions, p_better
        All that answers can tell; and how probable it is that the candidate is better on the holdout.
    """
    by_question = {(one.part, one.shape): one for one in evidence}
    rows: list[Condition] = []
    p_better = None
    for part in PARTS:
        for shape in SHAPES:
            one = by_question.get((part, shape))
            lacking = _lacking(part, one, settings)
            if one is None or lacking:
                rows.extend(_unjudged(part, shape, lacking, settings))
                continue
            before, after = (matches(judge(one.entries, faces)) for faces in (one.champion, one.candidate))
            differences = compare(after, before, resamples)
            if _decides(part, shape):
                rows.append(_gained(differences["mAP50-95"], settings))
                rows.append(_not_by_chance(chance(after, before, resamples), settings))
                rows.append(by_source.without_each(one.entries, one.champion, one.candidate, settings, resamples))
                p_better = differences["mAP50-95"].p_better
            else:
                rows.append(_kept(part, shape, differences["mAP50-95"], settings))
            rows.extend(_classes(part, shape, after, differences, settings))
    return tuple(rows), p_better


def disagreements(of: Evidence, score: float, most: int = SHOWN) -> tuple[Disagreement, ...]:
    """Find the pictures on which the two models differ most in what they get wrong.

    Parameters
    ----------
    of
        Their answers.
    score
        That workers report from.
    most
        How many pictures, at most; fewer where they do not differ.
    """
    if not any(entry.faces for entry in of.entries):
        return ()
    count = len(of.entries)
    champion, candidate = (
        mistakes(sightings(of.entries, faces, score), count) for faces in (of.champion, of.candidate)
    )
    order = np.argsort(-np.abs(champion - candidate), kind="stable")[:most]
    return tuple(
        Disagreement(
            sha256=entry.sha256,
            part=of.part,
            source=entry.source,
            width=entry.width,
            height=entry.height,
            faces=entry.faces,
            champion=tuple(face for face in of.champion[number] if face.score >= score),
            candidate=tuple(face for face in of.candidate[number] if face.score >= score),
            champion_mistakes=int(champion[number]),
            candidate_mistakes=int(candidate[number]),
        )
        for number in order
        if champion[number] != candidate[number]
        for entry in [of.entries[number]]
    )


def judge_candidate(  # noqa: PLR0913  # the last two have names
    candidate: Path,
    champion: Path,
    manifest: Manifest,
    settings: Settings,
    *,
    kept: Path,
    tell: Tell = lambda _, __: None,
) -> Verdict:
    """Judge a candidate, whatever it is: one that cannot be loaded is refused, and the verdict says why.

    Parameters
    ----------
    candidate, champion
        Their folders, each with its ``model.json``.
    manifest
        Its parts ``holdout`` and ``test`` judge.
    settings
        The gate's bounds, and the score and precision that workers use.
    kept
        Answers are kept here: what was asked once is not asked again.
    tell
        Is told how far it is.

    Raises
    ------
    ModelError
        If the champion cannot be loaded: then there is nothing to hold a candidate against.
    EvaluationError
        If a picture cannot be shown.
    GateError
        If a model is judged against itself.
    """
    precision = choose_precision(settings.detector, set(read_card(champion).files))
    with contextlib.ExitStack() as stack:
        old = stack.enter_context(Examinee(champion, precision, kept))
        try:
            new = stack.enter_context(Examinee(candidate, precision, kept))
        except ModelError as error:
            whole = Condition(
                name="loads and sees the golden picture", outcome="failed", needed="as its model.json says",
                why=str(error), essential=True,
            )  # fmt: skip
            return _verdict(_named(candidate), old.ref, precision, manifest, (whole,))
        if new.ref.sha256 == old.ref.sha256:
            raise GateError(f"{candidate} is the champion itself: a candidate is another model")
        whole = Condition(
            name="loads and sees the golden picture", outcome="passed", needed="as its model.json says", essential=True
        )
        evidence = list(_ask(old, new, manifest, tell))
    rows, p_better = conditions(evidence, settings.gate)
    speed = _speed(candidate, champion, precision, evidence, settings.gate, tell)
    shown = next((one for one in evidence if (one.part, one.shape) == ("holdout", CAMERAS)), None) or next(
        (one for one in evidence if one.shape == CAMERAS), None
    )
    score = settings.detector.score
    different = disagreements(shown, score) if shown else ()
    labels = by_source.labels_by_source(*shown[2:], score) if shown and shown.part == "holdout" else ()
    beside = (shadow(candidate, champion, settings, tell),) if settings.gate.shadow else ()
    verdict = _verdict(new.ref, old.ref, precision, manifest, (whole, *rows, speed, *beside))
    return msgspec.structs.replace(verdict, p_better=p_better, disagreements=different, sources=labels)


def _verdict(
    candidate: ModelRef, champion: ModelRef, precision: Precision, manifest: Manifest, rows: tuple[Condition, ...]
) -> Verdict:
    return Verdict(
        candidate=candidate,
        champion=champion,
        precision=precision,
        manifest=manifest.sha256,
        judged=datetime.now(UTC),
        promote=not any(row.stops for row in rows),
        conditions=rows,
    )


def _named(folder: Path) -> ModelRef:
    # What cannot be loaded may still say its name; if not even that, its folder names it.
    try:
        card = read_card(folder)
    except ModelError:
        return ModelRef(folder.name, "", "")
    return ModelRef(card.name, card.version, "")


def _ask(champion: Examinee, candidate: Examinee, manifest: Manifest, tell: Tell) -> Iterator[Evidence]:
    for part in PARTS:
        entries = manifest.part(part)
        if not any(entry.faces for entry in entries):
            continue
        for shape in SHAPES:
            faces = []
            for examinee, title in ((champion, "champion"), (candidate, "candidate")):
                progress = functools.partial(tell, f"{title}, {part}, {shape}")
                shown, answers = examinee.answer(entries, shape, plain(), progress)
                faces.append(answers.faces)
            yield Evidence(part, shape, shown, *faces)


def _decides(part: Part, shape: ShapeName) -> bool:
    # What people labelled comes from cameras, and cameras are looked at through the wide input.
    return (part, shape) == ("holdout", CAMERAS)


def _lacking(part: Part, one: Evidence | None, settings: GateSettings) -> str:
    if part == "test":
        return "" if one else "the data has no part «test»: «maskwatch data get» brings the base set"
    if one is None:
        return "no picture of the holdout shows a face"
    pictures, needed = len(one.entries), settings.pictures
    return "" if pictures >= needed else f"{pictures} pictures of the holdout, {needed} are needed"


def _unjudged(part: Part, shape: ShapeName, why: str, settings: GateSettings) -> Iterator[Condition]:
    if _decides(part, shape):
        yield Condition(name=GAIN, outcome="not judged", needed=_gain_needed(settings), why=why, essential=True)
        for name, needed in ((CHANCE, _chance_needed(settings)), (by_source.ALONE, by_source.needed(settings))):
            yield Condition(name=name, outcome="not judged", needed=needed, why=why)
    else:
        name, needed = f"no worse: {part}, {shape}", _tolerance_needed(settings)
        yield Condition(name=name, outcome="not judged", needed=needed, why=why)
    for label in CLASSES:
        name, needed = f"{label}: {part}, {shape}", _margin_needed(settings)
        yield Condition(name=name, outcome="not judged", needed=needed, why=why)


def _gain_needed(settings: GateSettings) -> str:
    return f"more than {settings.gain:g} mAP50-95 gained, with a probability of at least {settings.certainty:.0%}"


def _tolerance_needed(settings: GateSettings) -> str:
    return f"at most {settings.tolerance:g} mAP50-95 lost"


def _margin_needed(settings: GateSettings) -> str:
    return f"at most {settings.class_margin:g} AP50 lost"


def _gained(of: Difference, settings: GateSettings) -> Condition:
    passed = of.gain.value > settings.gain and of.p_better >= settings.certainty
    return _told(
        GAIN, of.gain, _gain_needed(settings), passed=passed,
        why=f"from {of.second:.3f} to {of.first:.3f}; better with a probability of {of.p_better:.1%}",
    )  # fmt: skip


def _chance_needed(settings: GateSettings) -> str:
    return f"as much is gained in at most {settings.chance:.1%} of cases if answers are swapped at random"


def _not_by_chance(p: float, settings: GateSettings) -> Condition:
    passed = p <= settings.chance
    outcome: Outcome = "passed" if passed else "failed"
    return Condition(name=CHANCE, outcome=outcome, needed=_chance_needed(settings), why=f"in {p:.1%} of them")


def _kept(part: Part, shape: ShapeName, of: Difference, settings: GateSettings) -> Condition:
    passed = of.gain.value >= -settings.tolerance
    why = f"from {of.second:.3f} to {of.first:.3f}"
    return _told(f"no worse: {part}, {shape}", of.gain, _tolerance_needed(settings), passed=passed, why=why)


def _classes(
    part: Part, shape: ShapeName, of: Matches, differences: Mapping[str, Difference], settings: GateSettings
) -> Iterator[Condition]:
    needed = _margin_needed(settings)
    for label, one in zip(CLASSES, of, strict=True):
        name, boxes = f"{label}: {part}, {shape}", int(one.boxes.sum())
        if boxes < settings.boxes:
            why = f"{boxes} faces of this class, {settings.boxes} are needed"
            yield Condition(name=name, outcome="not judged", needed=needed, why=why)
        else:
            row = differences[f"AP50 {label}"]
            why = f"from {row.second:.3f} to {row.first:.3f}, {boxes} faces"
            yield _told(name, row.gain, needed, passed=row.gain.value >= -settings.class_margin, why=why)


def _told(name: str, of: Interval, needed: str, *, passed: bool, why: str) -> Condition:
    return Condition(
        name=name, outcome="passed" if passed else "failed", needed=needed,
        value=of.value, low=of.low, high=of.high, why=why, essential=name == GAIN,
    )  # fmt: skip


def _speed(  # noqa: PLR0913, PLR0917  # both models, and what they are shown
    candidate: Path,
    champion: Path,
    precision: Precision,
    evidence: Sequence[Evidence],
    settings: GateSettings,
    tell: Tell,
) -> Condition:
    name = "speed"
    needed = f"a median of at most {settings.latency_ms:g} ms, or {settings.slower:g} times the champion's"
    entries = next((one.entries for one in evidence), ())
    if not entries:
        return Condition(name=name, outcome="not judged", needed=needed, why="there is no picture to be timed on")
    medians = []
    with rendered(entries, TIMED) as files:
        for number, folder in enumerate((champion, candidate)):
            tell("speed", number / 2)
            medians.append(measure(Job(str(folder.resolve()), precision, CAMERAS, files)).median_ms)
    old, new = medians
    passed = new <= max(settings.latency_ms, settings.slower * old)
    why = f"milliseconds a picture through the cameras' input, decoding included; the champion takes {old:.1f}"
    return Condition(name=name, outcome="passed" if passed else "failed", needed=needed, value=new, why=why)


def table(verdict: Verdict) -> str:
    """Write a verdict as Markdown."""
    lines = [
        f"{verdict.candidate.name} {verdict.candidate.version} against {verdict.champion.name} "
        f"{verdict.champion.version}, {verdict.precision.upper()}: "
        + ("**may take its place**" if verdict.promote else "**refused**"),
        "",
        "| condition | came out | value | needed | |",
        "| --- | --- | --- | --- | --- |",
    ]
    for row in verdict.conditions:
        value = "" if row.value is None else f"{row.value:+.3f}" if row.low is not None else f"{row.value:.1f}"
        bounds = f" ({row.low:+.3f} to {row.high:+.3f})" if row.low is not None and row.high is not None else ""
        lines.append(f"| {row.name} | {row.outcome} | {value}{bounds} | {row.needed} | {row.why} |")
    return "\n".join([*lines, *by_source.table(verdict.sources)])


def command(  # noqa: PLR0913  # a command line
    settings: Settings, candidate: Path, manifest: Path, *, champion: Path | None, out: Path, as_json: bool
) -> None:
    """Judge for ``maskwatch models gate``: keep the verdict, print it, end with 1 where it is a refusal."""
    data = load_manifest(manifest)
    with printing_aside(), Progress("gate") as progress:

        def tell(title: str, share: float) -> None:
            if progress.due:
                progress.show(share, title)

        champion = champion or settings.detector.model
        verdict = judge_candidate(candidate, champion, data, settings, kept=out / "answers", tell=tell)
    out.mkdir(parents=True, exist_ok=True)
    (out / FILE).write_bytes(msgspec.json.format(msgspec.json.encode(verdict), indent=1))
    click.echo((out / FILE).read_bytes() if as_json else table(verdict), nl=not as_json)
    if not verdict.promote:
        raise click.exceptions.Exit(1)
