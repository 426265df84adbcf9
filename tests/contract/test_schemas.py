import json
import re
from pathlib import Path

from maskwatch.schemas import FOLDER, asyncapi, schemas, write
from maskwatch.topics import TOPICS


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
