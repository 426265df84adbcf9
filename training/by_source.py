"""What each source's labels do to a verdict: whoever labels wrongly has labelled the holdout wrongly, too.

There the model that has learnt the mistake is the better one. So the gain must not rest on one source while the others
suffer, and a person is told how far each source's labels agree with both models. Pure.
"""

from collections.abc import Iterator, Sequence

import numpy as np

from maskwatch.learning_settings import GateSettings
from maskwatch.model_messages import Condition, SourceLabels
from training.datasets.manifest import Entry
from training.evaluation.bootstrap import RESAMPLES
from training.evaluation.compare import chance, compare
from training.evaluation.scores import Faces, judge, matches
from training.evaluation.sightings import MISSED, sightings

ALONE = "not for one source alone"


def needed(settings: GateSettings) -> str:
    """Say what :func:`without_each` asks for."""
    return (
        f"whichever source is left out, at most {settings.tolerance:g} mAP50-95 lost on the rest, or what chance "
        f"takes: as much in over {settings.chance:.1%} of cases if answers are swapped at random"
    )


def without_each(
    entries: Sequence[Entry],
    champion: Faces,
    candidate: Faces,
    settings: GateSettings,
    resamples: int = RESAMPLES,
) -> Condition:
    """Hold the candidate against the champion on what all other sources say, each source left out in turn.

    Parameters
    ----------
    entries
        Of the holdout.
    champion, candidate
        Their answers, in the same order.
    settings
        The bounds, and how many pictures of the others are needed.
    resamples
        For each comparison.

    Returns
    -------
    Condition
        With the figures of the source without which least is gained. Not judged where the others of one have too few
        pictures, unless it fails for another.
    """
    shown: Condition | None = None
    lacking: list[tuple[int, str]] = []
    for source in sorted({entry.source for entry in entries}):
        rest = [number for number, entry in enumerate(entries) if entry.source != source]
        others = [entries[number] for number in rest]
        if len(rest) < settings.pictures or not any(entry.faces for entry in others):
            lacking.append((len(rest), source))
            continue
        before, after = (matches(judge(others, [of[number] for number in rest])) for of in (champion, candidate))
        found = compare(after, before, resamples)["mAP50-95"]
        why = f"without {source}: from {found.second:.3f} to {found.first:.3f} on {len(rest)} pictures"
        worse = False
        if found.gain.value < -settings.tolerance:
            # What remains of a holdout is few pictures, of which a bootstrap is too sure.
            p = chance(before, after, resamples)
            worse = p <= settings.chance
            why += f"; as much in {p:.1%} of cases by chance"
        row = Condition(
            name=ALONE, outcome="failed" if worse else "passed", needed=needed(settings),
            value=found.gain.value, low=found.gain.low, high=found.gain.high, why=why,
        )  # fmt: skip
        if shown is None or _weight(row) > _weight(shown):
            shown = row
    if shown is not None and (shown.outcome == "failed" or not lacking):
        return shown
    left, source = min(lacking)
    why = f"without {source} {left} pictures of the holdout are left, {settings.pictures} are needed"
    return Condition(name=ALONE, outcome="not judged", needed=needed(settings), why=why)


def _weight(row: Condition) -> tuple[bool, float]:
    return row.outcome == "failed", -(row.value or 0.0)


def labels_by_source(
    entries: Sequence[Entry], champion: Faces, candidate: Faces, score: float
) -> tuple[SourceLabels, ...]:
    """Tell how far each source's labels agree with what both models see.

    Parameters
    ----------
    entries, champion, candidate
        As for :func:`without_each`.
    score
        That workers report from.

    Returns
    -------
    tuple of SourceLabels
        The one with the largest share of doubted faces first.
    """
    if not any(entry.faces for entry in entries):
        return ()
    both = [sightings(entries, faces, score) for faces in (champion, candidate)]
    seen = [of.seen for of in both]
    # Of true faces the two have the same rows.
    picture, label = both[0].picture, both[0].label
    doubted = (seen[0] == seen[1]) & (seen[0] != MISSED) & (seen[0] != label)
    source_of = np.array([entry.source for entry in entries])
    found = []
    for source in sorted({entry.source for entry in entries}):
        theirs, pictures = source_of[picture] == source, np.flatnonzero(source_of == source).tolist()
        faces = int(theirs.sum())
        agreements = []
        for told, answers in zip(seen, (champion, candidate), strict=True):
            answered = sum(face.score >= score for number in pictures for face in answers[number])
            right = int((told == label)[theirs].sum())
            agreements.append(2 * right / (faces + answered) if faces + answered else None)
        mine, other = agreements
        doubts = int(doubted[theirs].sum())
        found.append(
            SourceLabels(
                source=source, pictures=len(pictures), faces=faces, champion=mine, candidate=other, doubted=doubts
            )
        )
    return tuple(sorted(found, key=lambda one: -one.doubted / max(1, one.faces)))


def table(sources: Sequence[SourceLabels]) -> Iterator[str]:
    """Yield the lines of a table in Markdown; none without a source."""
    if not sources:
        return
    yield ""
    yield "| labels of | pictures | faces | champion agrees | candidate agrees | both say another class |"
    yield "| --- | --- | --- | --- | --- | --- |"
    for one in sources:
        champion, candidate = ("" if f1 is None else f"{f1:.2f}" for f1 in (one.champion, one.candidate))
        yield f"| {one.source} | {one.pictures} | {one.faces} | {champion} | {candidate} | {one.doubted} |"
