"""MLflow's aliases after a promotion, a roll-back, and a second time; on the real MLflow."""

import importlib.util
from datetime import UTC, datetime
from pathlib import Path

import pytest

from maskwatch.model import read_card
from maskwatch.model_messages import Champion, PublishedModel
from maskwatch.published import publish
from maskwatch.settings import MlflowSettings, Settings
from maskwatch.store import Store
from tests.support.models import SHIPPED, another

if importlib.util.find_spec("mlflow") is None:
    pytest.skip("the training packages are not here: make test TRAIN=1", allow_module_level=True)

from training.errors import TrackingAwayError
from training.mirror import mirror
from training.registry import Registry

pytestmark = [
    pytest.mark.timeout(300),  # a database takes seconds to be made
    pytest.mark.filterwarnings("default::DeprecationWarning"),  # MLflow's own
]


def champion(model: PublishedModel | None, previous: PublishedModel | None) -> Champion:
    return Champion(model=model, previous=previous, since=datetime.now(UTC), command="c1", by="ann", why="")


def test_the_aliases_say_what_serves_however_often_they_are_asked(tmp_path: Path) -> None:
    settings = Settings(data_dir=tmp_path, mlflow=MlflowSettings(experiment="mirror", model="mirror"))
    store = Store(settings)
    one, two = (publish(another(tmp_path / version, version), store) for version in ("one", "two"))

    def aliases() -> dict[str, str]:
        return {alias: version.version for version in Registry(settings).versions() for alias in version.aliases}

    own = read_card(SHIPPED).version
    for _ in range(2):
        mirror(settings, champion(one, None))
        assert aliases() == {"champion": "one", "previous": own}
    assert mirror(settings, champion(two, one)) == {"previous": "version 2", "champion": "version 3"}
    assert aliases() == {"champion": "two", "previous": "one"}
    # Rolled back: what MLflow knows is not registered again.
    mirror(settings, champion(one, two))
    assert aliases() == {"champion": "one", "previous": "two"}
    assert len(Registry(settings).versions()) == 3
    mirror(settings, None)
    assert aliases() == {"champion": own}


def test_without_mlflow_it_says_so(tmp_path: Path) -> None:
    settings = Settings(data_dir=tmp_path, mlflow=MlflowSettings(tracking_uri="http://127.0.0.1:9", timeout_s=1))
    with pytest.raises(TrackingAwayError):
        mirror(settings, None)
