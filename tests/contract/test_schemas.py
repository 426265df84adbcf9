import json
import re
from pathlib import Path
from typing import Any

import jsonschema_rs
import pytest

from maskwatch.schemas import ASYNCAPI, FOLDER, asyncapi, schemas, write
from maskwatch.topics import TOPICS

PUBLISHED = Path(__file__).parents[1] / "support/vendor/asyncapi/3.0.0.json"
"""What AsyncAPI's own people say a document of version 3 is."""


@pytest.fixture(scope="module")
def valid() -> jsonschema_rs.Draft7Validator:
    return jsonschema_rs.Draft7Validator(json.loads(PUBLISHED.read_text()))


def test_the_schemas_that_are_kept_are_those_of_the_code() -> None:
    kept = {path.name: path.read_text() for path in FOLDER.glob("*.json")}
    assert kept == schemas(), "stale: python -m maskwatch.schemas"


def test_writing_them_again_changes_nothing(tmp_path: Path) -> None:
    write(tmp_path / "schemas")
    assert {path.name: path.read_text() for path in (tmp_path / "schemas").iterdir()} == schemas()


def test_asyncapi_names_every_topic_and_leads_nowhere() -> None:
    described = asyncapi("one:9092,two:9093", "ours.")
    assert [server["host"] for server in described["servers"].values()] == ["one:9092", "two:9093"]
    assert [channel["address"] for channel in described["channels"].values()] == [f"ours.{t.name}" for t in TOPICS]
    operated = {operation["channel"]["$ref"] for operation in described["operations"].values()}
    assert operated == {f"#/channels/{topic.name}" for topic in TOPICS}
    references = re.findall(r'"\$ref": ?"#/components/schemas/([^"]+)"', json.dumps(described))
    assert set(references) <= described["components"]["schemas"].keys()
    assert {"Detection", "Prediction", "CameraStatus"} <= set(references)


def test_asyncapi_is_what_its_people_say_it_is(valid: jsonschema_rs.Draft7Validator) -> None:
    assert [str(error) for error in valid.iter_errors(asyncapi())] == []
    assert valid.is_valid(json.loads((FOLDER / ASYNCAPI).read_text()))


@pytest.mark.parametrize(
    "change",
    [
        {"servers": {"broker-0": {"url": "kafka://one:9092"}}},
        {"operations": {"read": {"action": "subscribe", "channel": {"$ref": "#/channels/cameras.v1"}}}},
        {"channels": {"cameras.v1": {"messages": {"record": {"payload": "Camera"}}}}},
        {"info": {"title": "Maskwatch"}},
    ],
    ids=lambda change: next(iter(change)),
)
def test_what_is_no_asyncapi_3_is_noticed(valid: jsonschema_rs.Draft7Validator, change: dict[str, Any]) -> None:
    assert not valid.is_valid(asyncapi() | change)
