"""MLflow, the only file that speaks to it: trainings as runs, exported models as versions of a registered one.

All that is said here may be said again: a run is found by the training's own id, a version by its model's SHA-256, an
alias is set only where it is another. So whoever was killed in between, the next try completes it and makes nothing
twice; nor do two processes of one installation, of which one waits for the other. The aliases mirror what is in
service; they decide nothing.
"""

import contextlib
import fcntl
import os
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from pathlib import Path

# Read by MLflow when it is imported, so they are set before.
os.environ["MLFLOW_DISABLE_TELEMETRY"] = "true"
os.environ.setdefault("MLFLOW_LOGGING_LEVEL", "WARNING")
os.environ.setdefault("MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR", "false")

import msgspec

from maskwatch.addresses import without_user
from maskwatch.settings import Settings
from maskwatch.training_packages import PackagesMissingError
from training.artefact.exported import Exported
from training.errors import TrackingAwayError, TrackingError, TrackingRefusedError
from training.journal import FOLDER, Became, Begun, Event, Kept, Metrics, Parameters, Tags, plain_name

try:
    from mlflow import MlflowClient
    from mlflow.entities import Metric, Param, Run, RunTag, ViewType
    from mlflow.entities.model_registry import ModelVersion
    from mlflow.exceptions import MlflowException
except ModuleNotFoundError as error:
    raise PackagesMissingError("MLflow") from error

RUN = "maskwatch.run"
"""Tag of a run: the id of the training, or of what was registered without one."""
LOGGED = "maskwatch.logged"
"""Tag of a run: how many events of the training's journal are in it."""
SHA256 = "maskwatch.sha256"
"""Tag of a version: of its ``model.json``, which names all that it needs to serve."""
_FILE = "file."
"""Tags of a version: the SHA-256 of each file."""
_NEVER = {"INVALID_PARAMETER_VALUE", "BAD_REQUEST", "INVALID_STATE"}
"""What MLflow says of something that it will not take another time either."""
_LONGEST_REASON = 300


class Version(msgspec.Struct, frozen=True):
    """One version of the registered model."""

    number: str
    aliases: tuple[str, ...]
    name: str
    """The model's own name and version, as detections say them."""
    version: str
    registered: datetime
    manifest: str
    """SHA-256 of the manifest it was trained on; empty if that is not known."""
    sha256: str
    figures: dict[str, str]
    """The few that tell it apart, as they are shown."""
    files: dict[str, str]
    """SHA-256 of each file."""
    run: str
    source: str
    """Where its files lie."""


class Registry:
    """The registered model in MLflow, and the runs beside it.

    Parameters
    ----------
    settings
        Which MLflow, and the name of the model.

    Raises
    ------
    TrackingAwayError
        By every method, if MLflow gives no answer in time.
    TrackingRefusedError
        By every method, if MLflow does not take what it is told.
    """

    def __init__(self, settings: Settings) -> None:
        mlflow = settings.mlflow
        # Of every request. Tries follow each other here, where people see them, not for minutes inside of MLflow.
        os.environ["MLFLOW_HTTP_REQUEST_TIMEOUT"] = str(mlflow.timeout_s)
        os.environ["MLFLOW_HTTP_REQUEST_MAX_RETRIES"] = "0"
        self._settings = settings
        self._model = mlflow.model
        with self._answers():
            self.client = MlflowClient(settings.mlflow_uri)

    def run(self, key: str, name: str, began_ms: int) -> Run:
        """Find a run by the id of its training, or make it."""
        with self._answers():
            experiment = self._experiment()
            found = self.client.search_runs([experiment], f"tags.`{RUN}` = '{key}'", ViewType.ALL, max_results=1)
            if not found:
                # What it is found by is set as it is made: whoever is killed now finds it the next time.
                return self.client.create_run(experiment, began_ms, {RUN: key, LOGGED: "0"}, name)
        run: Run = found[0]
        if run.info.lifecycle_stage == "deleted":
            raise TrackingRefusedError(
                f"run {run.info.run_id} was deleted in MLflow; «mlflow runs restore» brings it back"
            )
        return run

    def write(self, run_id: str, event: Event, position: int, kept: Path) -> None:
        """Log one event of a journal, and with it how many those are."""
        count = RunTag(LOGGED, str(position))
        with self._answers():
            match event:
                case Parameters(values=values):
                    self.client.log_batch(run_id, params=[Param(*item) for item in values.items()], tags=[count])
                    return
                case Tags(values=values):
                    self.client.log_batch(run_id, tags=[*(RunTag(*item) for item in values.items()), count])
                    return
                case Metrics(at=at, step=step, values=numbers):
                    # The same number of the same time and step is the same row: a second time changes nothing.
                    rows = [Metric(name, _number(value), at, step) for name, value in numbers.items()]
                    self.client.log_batch(run_id, rows, tags=[count])
                    return
                case Kept(path=path):
                    if not (kept / path).is_file():
                        raise TrackingRefusedError(f"{kept / path} is gone")
                    self.client.log_artifact(run_id, str(kept / path), str(Path(path).parent) if "/" in path else None)
                case Became(state="RUNNING"):
                    self.client.update_run(run_id, "RUNNING")
                case Became(at=at, state=state):
                    self.client.set_terminated(run_id, state, at)
                case Begun():
                    pass
            # Afterwards: killed before it, what was done is done again, to the same end.
            self.client.set_tag(run_id, count.key, count.value)

    def register(self, model: Exported, training: Begun | None = None) -> Version:
        """Register an exported model; registered again, its files and figures are brought up to date.

        Parameters
        ----------
        model
            What was exported.
        training
            Which training it is from: its run gets the files. Without it the version has a run of its own.
        """
        with self._alone():
            return self._register(model, training)

    def _register(self, model: Exported, training: Begun | None) -> Version:
        made_ms = model.made_ms
        key = training.run if training else f"model-{model.sha256}"
        name = training.name if training else f"{model.card.name} {model.card.version}"
        run = self.run(key, name, training.at if training else made_ms)
        run_id, path = run.info.run_id, f"model-{model.sha256[:12]}"
        with self._answers():
            # 1. What it is. 2. The version, found by its hash. 3. What is known of it, which may be newer now.
            self.client.log_artifacts(run_id, str(model.folder), path)
            # Of figures with the same time MLflow shows the largest, not the last.
            rows = [Metric(plain_name(key), value, model.judged_ms, 0) for key, value in model.figures.items()]
            for start in range(0, len(rows), 500):
                self.client.log_batch(run_id, rows[start : start + 500])
            if not training:
                self.client.set_terminated(run_id, "FINISHED", made_ms)
            with _already_there():
                self.client.create_registered_model(self._model)
            found = self._search(f"tag.`{SHA256}` = '{model.sha256}'")
            version = (
                found[0]
                if found
                else self.client.create_model_version(
                    self._model, f"{run.info.artifact_uri}/{path}", run_id, {SHA256: model.sha256}
                )
            )
            number, tags = str(version.version), _tags(model)
            for tag, value in tags.items():
                self.client.set_model_version_tag(self._model, number, tag, value)
            for tag in version.tags:
                if tag.startswith(_FILE) and tag not in tags:
                    self.client.delete_model_version_tag(self._model, number, tag)
        return self.version(number)

    def versions(self) -> list[Version]:
        """Return every version, newest first."""
        with self._answers():
            found = self._search()
            aliases = self._aliases() if found else {}
        return [_described(version, aliases) for version in found]

    def version(self, which: str) -> Version:
        """Return a version by its number or one of its aliases.

        Raises
        ------
        TrackingError
            If there is none; the message names those that there are.
        """
        known = self.versions()
        for version in known:
            if which == version.number or which in version.aliases:
                return version
        names = ", ".join(f"{version.number} {' '.join(version.aliases)}".strip() for version in known) or "none"
        raise TrackingError(f"no version or alias {which} of model {self._model}; registered: {names}")

    def promote(self, which: str) -> None:
        """Let ``champion`` name a version, and ``previous`` the one before; done already, it changes nothing."""
        version = self.version(which)
        if "champion" in version.aliases:
            return
        before = next((one for one in self.versions() if "champion" in one.aliases), None)
        # The old one gets its second name first: killed in between, the next try finds it as it was.
        self.set_aliases({**({"previous": before.number} if before else {}), "champion": version.number})

    def set_aliases(self, wanted: Mapping[str, str | None]) -> None:
        """Let aliases name versions, in this order, or nothing (None); those that do already are left alone."""
        with self._answers():
            current = self._aliases()
            for alias, number in wanted.items():
                if number is None and alias in current:
                    self.client.delete_registered_model_alias(self._model, alias)
                elif number is not None and current.get(alias) != number:
                    self.client.set_registered_model_alias(self._model, alias, number)

    def fetch(self, version: Version, file: str, into: Path) -> Path:
        """Bring one of a version's files here."""
        path = f"model-{version.sha256[:12]}/{file}"
        with self._answers():
            return Path(self.client.download_artifacts(version.run, path, str(into)))

    def _experiment(self) -> str:
        name = self._settings.mlflow.experiment
        uri = self._settings.mlflow_uri
        if (found := self.client.get_experiment_by_name(name)) is None:
            # A server says itself where files go; beside a database of our own they would go where we happen to be.
            here = f"file://{self._settings.data_dir.resolve()}/mlflow/artifacts" if uri.startswith("sqlite:") else None
            with _already_there():
                self.client.create_experiment(name, here)
            return self._experiment()
        return str(found.experiment_id)

    def _search(self, condition: str = "") -> list[ModelVersion]:
        asked = f"name = '{self._model}'" + (f" and {condition}" if condition else "")
        found: list[ModelVersion] = []
        token: str | None = None
        while True:
            page = self.client.search_model_versions(asked, order_by=["version_number DESC"], page_token=token)
            found += page
            if not (token := page.token):
                return found

    def _aliases(self) -> dict[str, str]:
        registered = self.client.get_registered_model(self._model)
        return {alias: str(number) for alias, number in registered.aliases.items()}

    @contextlib.contextmanager
    def _alone(self) -> Iterator[None]:
        """Wait for whoever registers just now: MLflow takes the same version twice, and says nothing."""
        folder = self._settings.data_dir
        folder.mkdir(parents=True, exist_ok=True)
        with (folder / "registering.lock").open("w", encoding="utf-8") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            yield

    @contextlib.contextmanager
    def _answers(self) -> Iterator[None]:
        """Turn what MLflow raises into what it means here."""
        try:
            yield
        except MlflowException as error:
            uri = self._settings.mlflow_uri
            where, reason = without_user(uri), str(error).replace(uri, without_user(uri)).partition("\n")[0]
            if error.error_code in _NEVER:
                raise TrackingRefusedError(f"MLflow at {where} refuses: {reason[:_LONGEST_REASON]}") from error
            raise TrackingAwayError(
                f"MLflow at {where} gives no answer: {reason[:_LONGEST_REASON]}; set mlflow.tracking_uri"
            ) from error
        except OSError as error:
            raise TrackingAwayError(f"MLflow's files cannot be written: {error}") from error


class _RunLog:
    """One training's run, as :mod:`training.tracking` writes it."""

    def __init__(self, registry: Registry, run: Run, kept: Path) -> None:
        self._registry = registry
        self._run = run
        self._kept = kept

    def position(self) -> int:
        return int(self._run.data.tags.get(LOGGED, "0"))

    def write(self, event: Event, position: int) -> None:
        self._registry.write(self._run.info.run_id, event, position, self._kept)


def open_log(settings: Settings, folder: Path, begun: Begun) -> _RunLog:
    """Open MLflow's side of a training's journal."""
    registry = Registry(settings)
    return _RunLog(registry, registry.run(begun.run, begun.name, begun.at), folder / FOLDER / "kept")


@contextlib.contextmanager
def _already_there() -> Iterator[None]:
    try:
        yield
    except MlflowException as error:
        if error.error_code != "RESOURCE_ALREADY_EXISTS":
            raise


def _described(version: ModelVersion, aliases: Mapping[str, str]) -> Version:
    tags: dict[str, str] = version.tags
    number = str(version.version)
    return Version(
        number=number,
        aliases=tuple(sorted(alias for alias, named in aliases.items() if named == number)),
        name=tags.get("name", ""),
        version=tags.get("version", ""),
        registered=datetime.fromtimestamp(version.creation_timestamp / 1000, UTC),
        manifest=tags.get("manifest", ""),
        sha256=tags.get(SHA256, ""),
        figures=msgspec.json.decode(tags.get("figures", "{}"), type=dict[str, str]),
        files={tag.removeprefix(_FILE): value for tag, value in tags.items() if tag.startswith(_FILE)},
        run=version.run_id or "",
        source=version.source or "",
    )


def _tags(model: Exported) -> dict[str, str]:
    return {
        "name": model.card.name,
        "version": model.card.version,
        "manifest": model.manifest,
        "figures": msgspec.json.encode(model.headline).decode(),
        **{f"{_FILE}{path}": sha256 for path, sha256 in model.files.items()},
    }


def _number(value: float | None) -> float:
    return float("nan") if value is None else value
