"""Says what is known of models and rounds as HTTP does. Pure."""

from typing import TypeVar

import msgspec

from api.label_table import LabelTable
from api.model_schemas import (
    ConditionAnswer,
    Disagreement,
    Evaluation,
    LabelsDone,
    LessonAnswer,
    Models,
    OwnModel,
    ProgressAnswer,
    PublishedModel,
    RunAnswer,
    Service,
    ServiceChange,
    SourceAnswer,
    VerdictAnswer,
    VerdictSummary,
    VersionAnswer,
    VersionSummary,
)
from api.model_table import ModelTable
from maskwatch import rounds, verdicts
from maskwatch.learning_settings import RetrainSettings
from maskwatch.model import ModelCard
from maskwatch.model_messages import ModelVersion, Run, Verdict

_Verdict = TypeVar("_Verdict", VerdictSummary, VerdictAnswer)
_Version = TypeVar("_Version", VersionSummary, VersionAnswer)
_Service = TypeVar("_Service", Service, Models, ServiceChange)


def service(kind: type[_Service], table: ModelTable, own: ModelCard | None, **more: object) -> _Service:
    """Say which model serves."""
    champion = table.champion
    return kind.model_validate(
        {
            "champion": champion.model if champion else None,
            "own": OwnModel(name=own.name, version=own.version) if own else None,
            "previous": champion.previous if champion else None,
            "can_roll_back": champion is not None,
            "since": champion.since if champion else None,
            "by": champion.by if champion else "",
            "why": champion.why if champion else "",
            **more,
        }
    )


def models(table: ModelTable, own: ModelCard | None, limit: int | None = None) -> Models:
    """Say which model serves, and what every version is, or the newest ones."""
    shown = table.versions()[:limit]
    return service(Models, table, own, versions=[version(VersionSummary, table, one) for one in shown])


def version(kind: type[_Version], table: ModelTable, of: ModelVersion, **more: object) -> _Version:
    """Say what is known of a version: its verdict, and the round that it is from."""
    made = table.made(of.model.sha256)
    lesson = made.progress.lesson if made and made.progress else None
    return kind.model_validate(
        {
            "model": PublishedModel.model_validate(of.model),
            "state": of.state,
            "changed": of.changed,
            "by": of.by,
            "why": of.why,
            "verdict": _verdict(VerdictSummary, of.verdict) if of.verdict else None,
            "run": made.id if made else None,
            "new_labels": made.new_labels if made else None,
            "lesson": LessonAnswer.model_validate(lesson) if lesson else None,
            **more,
        }
    )


def whole_version(table: ModelTable, of: ModelVersion) -> VersionAnswer:
    """Say all that is known of a version, with how it was judged, and judged again."""
    again = table.evaluated(of.model.sha256)
    evaluation = Evaluation(run=again.id, verdict=_whole(again.verdict)) if again and again.verdict else None
    return version(VersionAnswer, table, of, judged=_whole(of.verdict) if of.verdict else None, evaluation=evaluation)


def run(of: Run) -> RunAnswer:
    """Say how far a round is."""
    return RunAnswer.model_validate(
        {name: getattr(of, name) for name in RunAnswer.model_fields if name not in {"progress", "verdict"}}
        | {
            "progress": ProgressAnswer.model_validate(of.progress) if of.progress else None,
            "verdict": _verdict(VerdictSummary, of.verdict) if of.verdict else None,
        }
    )


def since_last_round(table: ModelTable, labels: LabelTable) -> int:
    """Return how many labels of people there are since the last round began."""
    last = table.last_round()
    return labels.counted_since(last.started if last else None)


def expected_minutes(table: ModelTable, counted: int, settings: RetrainSettings) -> float | None:
    """Return how long a round would train, at the pace of the last one; None without a label."""
    if not counted:
        return None
    paced = (one.progress for one in table.runs() if one.progress and one.progress.history)
    pace = rounds.pace_of(next(paced, None))
    return rounds.expected_minutes(rounds.pictures_of(counted, settings), settings.epochs, pace)


def labels_done(table: ModelTable) -> LabelsDone | None:
    """Say what came of people's labels in the newest round that was judged; None before."""
    last = table.last_judged()
    if last is None or last.verdict is None:
        return None
    return LabelsDone(
        run=last.id,
        labels=last.new_labels,
        model=PublishedModel.model_validate(last.progress.model) if last.progress and last.progress.model else None,
        gain=verdicts.gained(last.verdict),
        promoted=last.verdict.promote,
        judged=last.verdict.judged,
    )


def _whole(of: Verdict) -> VerdictAnswer:
    return _verdict(
        VerdictAnswer,
        of,
        candidate=msgspec.to_builtins(of.candidate),
        champion=msgspec.to_builtins(of.champion),
        precision=of.precision,
        shape=of.shape,
        conditions=[ConditionAnswer.model_validate(row) for row in of.conditions],
        disagreements=[Disagreement.model_validate(msgspec.to_builtins(one)) for one in of.disagreements],
        sources=[SourceAnswer.model_validate(one) for one in of.sources],
    )


def _verdict(kind: type[_Verdict], of: Verdict, **more: object) -> _Verdict:
    return kind.model_validate(
        {
            "promote": of.promote,
            "judged": of.judged,
            "gain": verdicts.gained(of),
            "p_better": of.p_better,
            "against": verdicts.against(of),
            "not_judged": sum(row.outcome == "not judged" for row in of.conditions),
            "sentence": verdicts.sentence(of),
            **more,
        }
    )
