"""What is known of models and of the rounds that make them, as three topics tell it.

Every API process reads ``models.v1``, ``model-versions.v1`` and ``runs.v1`` from their beginning, and keeps the newest
record of each key. The table is pure; :class:`api.model_feed.ModelFeed` fills it.
"""

from maskwatch.errors import MessageError
from maskwatch.kafka import Record
from maskwatch.messages import decode
from maskwatch.model_messages import Champion, ModelVersion, Run
from maskwatch.topics import Name

MOST_VERSIONS = 1000
"""Whoever may write to the topic must not fill our memory."""

MOST_RUNS = 500


class AmbiguousError(LookupError):
    """Several models have this version."""


class ModelTable:
    """The champion, every version and every round."""

    def __init__(self) -> None:
        self.champion: Champion | None = None
        """None before the first promotion: each worker serves its own."""
        self._versions: dict[str, ModelVersion] = {}
        self._runs: dict[str, Run] = {}

    def take(self, name: Name, record: Record) -> None:
        """Take one record; an empty one takes back what was said under its key.

        Raises
        ------
        MessageError
            If the record is not what its topic promises, or there is no room for it.
        """
        if record.value is None:
            key = (record.key or b"").decode(errors="replace")
            (self._versions if name is Name.MODEL_VERSIONS else self._runs).pop(key, None)
        elif name is Name.MODELS:
            self.champion = decode(record.value, Champion)
        elif name is Name.MODEL_VERSIONS:
            self._take_version(decode(record.value, ModelVersion))
        else:
            self.take_run(decode(record.value, Run))

    def take_run(self, run: Run) -> None:
        """Take a round; the oldest are forgotten first."""
        self._runs[run.id] = run
        while len(self._runs) > MOST_RUNS:
            del self._runs[min(self._runs, key=lambda one: self._runs[one].started)]

    def versions(self) -> list[ModelVersion]:
        """Return every version, the last that changed first; of two that changed together, the one that serves."""
        return sorted(self._versions.values(), key=lambda one: (one.changed, one.state == "champion"), reverse=True)

    def version(self, which: str) -> ModelVersion:
        """Return the version of this SHA-256, or of this name.

        Raises
        ------
        KeyError
            If there is none.
        AmbiguousError
            If several models call themselves so.
        """
        if which in self._versions:
            return self._versions[which]
        found = [one for one in self._versions.values() if one.model.version == which]
        if len(found) > 1:
            raise AmbiguousError(which)
        if not found:
            raise KeyError(which)
        return found[0]

    def serves(self) -> str:
        """Return the SHA-256 of the model in service, empty for each worker's own."""
        return self.champion.model.sha256 if self.champion and self.champion.model else ""

    def runs(self) -> list[Run]:
        """Return every round and evaluation, the newest first."""
        return sorted(self._runs.values(), key=lambda run: run.started, reverse=True)

    def run(self, identity: str) -> Run:
        """Return one round.

        Raises
        ------
        KeyError
            If there is none of this id.
        """
        return self._runs[identity]

    def running(self) -> Run | None:
        """Return the round, or evaluation, that is under way."""
        return next((run for run in self.runs() if run.state == "running"), None)

    def last_round(self) -> Run | None:
        """Return the newest round that began, however it ended: what was labelled since counts for the next one."""
        return next((run for run in self.runs() if run.kind == "retrain" and run.attempts), None)

    def last_judged(self) -> Run | None:
        """Return the newest round that came to a verdict."""
        return next((run for run in self.runs() if run.kind == "retrain" and run.verdict is not None), None)

    def made(self, sha256: str) -> Run | None:
        """Return the round that a model is from."""
        return next((run for run in self.runs() if run.kind == "retrain" and _is_about(run, sha256)), None)

    def evaluated(self, sha256: str) -> Run | None:
        """Return the newest evaluation of a model that came to a verdict."""
        found = (run for run in self.runs() if run.kind == "evaluate" and run.verdict is not None)
        return next((run for run in found if _is_about(run, sha256)), None)

    def _take_version(self, version: ModelVersion) -> None:
        if version.model.sha256 not in self._versions and len(self._versions) >= MOST_VERSIONS:
            raise MessageError(f"there are {MOST_VERSIONS} versions already")
        self._versions[version.model.sha256] = version


def _is_about(run: Run, sha256: str) -> bool:
    return run.progress is not None and run.progress.model is not None and run.progress.model.sha256 == sha256
