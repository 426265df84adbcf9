from pathlib import Path

from maskwatch.schemas import FOLDER, schemas, write


def test_the_schemas_that_are_kept_are_those_of_the_code() -> None:
    kept = {path.name: path.read_text() for path in FOLDER.glob("*.json")}
    assert kept == schemas(), "stale: python -m maskwatch.schemas"


def test_writing_them_again_changes_nothing(tmp_path: Path) -> None:
    write(tmp_path / "schemas")
    assert {path.name: path.read_text() for path in (tmp_path / "schemas").iterdir()} == schemas()
