"""The real MLflow, on SQLite: what is logged, what is registered, and that a second time changes nothing."""

import importlib.util
import json
import math
import os
import shutil
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from maskwatch.settings import MODELS, PROJECT, MlflowSettings, Settings
from training.artefact.exported import Exported, read_exported
from training.errors import TrackingAwayError, TrackingError, TrackingRefusedError
from training.journal import Begun, Journal, Kept, read
from training.tracking import send, track

if importlib.util.find_spec("mlflow") is None:
    pytest.skip("the training packages are not here: make test TRAIN=1", allow_module_level=True)

from training.registry import LOGGED, RUN, Registry, open_log

pytestmark = [
    pytest.mark.timeout(300),  # a database takes seconds to be made
    pytest.mark.filterwarnings("default::DeprecationWarning"),  # MLflow's own
]
SHIPPED = PROJECT / "data/models/default"


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("mlflow")


@pytest.fixture
def settings(home: Path, request: pytest.FixtureRequest) -> Settings:
    """One database for all; an experiment and a model of each test's own."""
    return Settings(data_dir=home, mlflow=MlflowSettings(experiment=request.node.name, model=request.node.name))


def another(folder: Path, version: str) -> Exported:
    """Make a model with another name for its version."""
    shutil.copytree(SHIPPED, folder)
    card = json.loads((folder / "model.json").read_text())
    (folder / "model.json").write_text(json.dumps(card | {"version": version}))
    return read_exported(folder)


def test_a_training_is_logged_whole(settings: Settings, tmp_path: Path) -> None:
    picture = tmp_path / "curves.png"
    picture.write_bytes(b"png")
    with track(tmp_path, "a name", settings) as training:
        training.parameters({"epochs": 3})
        training.tags({"maskwatch.manifest": "00"})
        for epoch in (1, 2, 3):
            training.metrics(epoch, {"loss": 1 / epoch, "broken": math.nan})
        training.keep(picture, "curves")
        training.keep(picture)
    client = Registry(settings).client
    (run,) = client.search_runs([client.get_experiment_by_name(settings.mlflow.experiment).experiment_id])
    assert (run.info.run_name, run.info.status) == ("a name", "FINISHED")
    assert run.data.params == {"epochs": "3"}
    assert run.data.tags["maskwatch.manifest"] == "00"
    assert run.data.tags["environment.python"]
    assert run.data.tags[LOGGED] == str(len(list(read(tmp_path))))
    history = client.get_metric_history(run.info.run_id, "loss")
    assert [(metric.step, metric.value) for metric in history] == [(1, 1), (2, 1 / 2), (3, 1 / 3)]
    assert math.isnan(client.get_metric_history(run.info.run_id, "broken")[0].value)
    for kept in ("curves/curves.png", "curves.png"):
        assert Path(client.download_artifacts(run.info.run_id, kept)).read_bytes() == b"png"


def test_an_event_that_is_written_twice_is_there_once(settings: Settings, tmp_path: Path) -> None:
    journal = Journal(tmp_path, "twice")
    journal.parameters({"epochs": 1})
    journal.metrics(1, {"loss": 0.5, "broken": math.nan})
    begun, *_ = events = list(read(tmp_path))
    assert isinstance(begun, Begun)
    for _ in range(2):
        log = open_log(settings, tmp_path, begun)
        for position, event in enumerate(events, 1):
            log.write(event, position)
    client = Registry(settings).client
    runs = client.search_runs([client.get_experiment_by_name(settings.mlflow.experiment).experiment_id])
    assert [run.data.tags[RUN] for run in runs] == [begun.run]
    for name in ("loss", "broken"):
        assert len(client.get_metric_history(runs[0].info.run_id, name)) == 1


def test_a_file_that_is_gone_is_refused_and_what_follows_is_logged(settings: Settings, tmp_path: Path) -> None:
    journal = Journal(tmp_path, "gone")
    journal._append(Kept(1, "nothing.png"))
    journal.metrics(1, {"loss": 0.5})
    sent = send(tmp_path, settings)
    assert (sent.logged, sent.refused) == (2, 1)


def test_a_run_that_somebody_deleted_stays_deleted(settings: Settings, tmp_path: Path) -> None:
    journal = Journal(tmp_path, "deleted")
    send(tmp_path, settings)
    begun = next(read(tmp_path))
    assert isinstance(begun, Begun)
    registry = Registry(settings)
    registry.client.delete_run(registry.run(begun.run, "deleted", begun.at).info.run_id)
    journal.metrics(1, {"loss": 0.5})
    with pytest.raises(TrackingRefusedError, match="was deleted in MLflow"):
        send(tmp_path, settings)


def test_a_model_is_registered_once_with_all_that_is_known_of_it(settings: Settings) -> None:
    registry = Registry(settings)
    model = read_exported(SHIPPED)
    first = registry.register(model)
    assert registry.register(model) == first
    assert registry.versions() == [first]
    assert (first.number, first.name, first.version) == ("1", model.card.name, model.card.version)
    assert first.files == model.files
    assert first.figures == model.headline != {}
    assert first.sha256 == model.sha256
    run = registry.client.get_run(first.run)
    assert run.info.status == "FINISHED"
    assert len(run.data.metrics) == len(model.figures) > 0
    assert len(registry.client.get_metric_history(first.run, next(iter(run.data.metrics)))) == 1


def test_registered_again_it_has_its_new_figures_and_no_file_that_is_gone(settings: Settings, tmp_path: Path) -> None:
    registry, folder = Registry(settings), tmp_path / "model"
    another(folder, "1")
    for map50, seconds in ((0.9, 100), (0.8, 200)):
        (folder / "figures.json").write_text(json.dumps({"voc": {"map50": map50}}))
        os.utime(folder / "figures.json", (seconds, seconds))
        version = registry.register(read_exported(folder))
        (folder / "card.md").unlink(missing_ok=True)
    assert registry.client.get_run(version.run).data.metrics == {"voc/map50": 0.8}
    assert version.figures == {"voc": "0.800"}
    assert "card.md" not in version.files
    assert version.files.keys() == read_exported(folder).files.keys()


def test_two_that_register_at_once_make_one_version(settings: Settings) -> None:
    model = read_exported(SHIPPED)
    Registry(settings).register(read_exported(MODELS / "large"))
    with ThreadPoolExecutor(2) as pool:
        first, second = pool.map(lambda _: Registry(settings).register(model), range(2))
    assert first == second
    assert len(Registry(settings).versions()) == 2


def test_its_files_can_be_fetched_as_they_were(settings: Settings, tmp_path: Path) -> None:
    registry = Registry(settings)
    version = registry.register(read_exported(SHIPPED))
    fetched = registry.fetch(version, "model.json", tmp_path)
    assert fetched.read_bytes() == (SHIPPED / "model.json").read_bytes()


def test_a_model_goes_into_the_run_of_its_training(settings: Settings, tmp_path: Path) -> None:
    with track(tmp_path, "its training", settings) as training:
        training.metrics(1, {"loss": 0.5})
    begun = next(read(tmp_path))
    assert isinstance(begun, Begun)
    registry = Registry(settings)
    version = registry.register(read_exported(SHIPPED), begun)
    run = registry.client.get_run(version.run)
    assert (run.info.run_name, run.data.metrics["loss"]) == ("its training", 0.5)
    assert len(registry.client.search_runs([run.info.experiment_id])) == 1


def test_champion_and_previous_follow_each_other_and_may_be_said_again(settings: Settings, tmp_path: Path) -> None:
    registry = Registry(settings)
    numbers = [registry.register(another(tmp_path / name, name)).number for name in ("1", "2", "3")]

    def aliases() -> dict[str, str]:
        return {alias: version.number for version in registry.versions() for alias in version.aliases}

    assert aliases() == {}
    for _ in range(2):
        registry.promote(numbers[0])
        assert aliases() == {"champion": numbers[0]}
    for _ in range(2):
        registry.promote(numbers[1])
        assert aliases() == {"champion": numbers[1], "previous": numbers[0]}
    registry.promote("previous")  # a step back is a promotion too
    assert aliases() == {"champion": numbers[0], "previous": numbers[1]}
    for _ in range(2):
        registry.set_aliases({"previous": None, "champion": numbers[2]})
        assert aliases() == {"champion": numbers[2]}
    assert [version.number for version in registry.versions()] == numbers[::-1]


def test_a_promotion_that_was_cut_off_between_its_two_steps_is_completed(settings: Settings, tmp_path: Path) -> None:
    registry = Registry(settings)
    old, new = (registry.register(another(tmp_path / name, name)).number for name in ("1", "2"))
    registry.promote(old)
    registry.set_aliases({"previous": old})  # the first step of the next promotion
    registry.promote(new)
    assert {version.number: version.aliases for version in registry.versions()} == {
        new: ("champion",),
        old: ("previous",),
    }


def test_an_unknown_version_is_said_with_the_known_ones(settings: Settings) -> None:
    registry = Registry(settings)
    with pytest.raises(TrackingError, match=r"no version or alias champion of model .*; registered: none"):
        registry.version("champion")
    registry.register(read_exported(SHIPPED))
    registry.promote("1")
    with pytest.raises(TrackingError, match="registered: 1 champion"):
        registry.version("7")


def test_a_server_that_is_not_there_is_said_in_time_and_without_its_password(tmp_path: Path) -> None:
    # Nobody listens on the discard port.
    mlflow = MlflowSettings.model_validate({"tracking_uri": "http://me:secret@127.0.0.1:9", "timeout_s": 2})
    with pytest.raises(TrackingAwayError, match=r"MLflow at http://127.0.0.1:9 gives no answer") as caught:
        Registry(Settings(data_dir=tmp_path, mlflow=mlflow)).versions()
    assert "secret" not in str(caught.value)


def test_an_address_that_mlflow_does_not_know_is_refused(tmp_path: Path) -> None:
    mlflow = MlflowSettings.model_validate({"tracking_uri": "gopher://nowhere"})
    with pytest.raises(TrackingError, match="gopher"):
        Registry(Settings(data_dir=tmp_path, mlflow=mlflow)).versions()
