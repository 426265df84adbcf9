import json
from pathlib import Path

import pytest

from tests.faults.report import Row, main, table
from tests.support.machine import this_machine, write_between

BEGIN, END = "<!-- figures -->", "<!-- /figures -->"

ROWS = [
    Row("test_a_broker_that_is_away[briefly]", "back after", 1.5, "s", 15, None),
    Row("test_a_broker_that_is_away[briefly]", "told of 2 s", 1, "", 1, None),
    Row("test_a_broker_that_is_away[a-minute]", "back after", 1.25, "s", 15, None, long=True),
    Row("test_a_broker_that_is_away[a-minute]", "told of 60 s", 1, "", 1, None, long=True),
    Row("test_uploads[seed-0]", "took", 5, "s", 9, None, long=True),
    Row("test_uploads[seed-0]", "answered", 0.99, "", None, 0.9, long=True),
    Row("test_uploads[seed-1]", "took", 4, "s", 9, None, long=True),
    Row("test_uploads[seed-1]", "answered", 0.98, "", None, 0.9, long=True),
    Row("test_many[few]", "few: share", 0.5, "", None, 0.9),
    Row("test_many[all]", "all: share", 0.95, "", None, 0.9),
]


def test_the_table_names_each_fault_once_in_its_long_form_and_from_its_worst_seed() -> None:
    assert table(ROWS).splitlines()[2:] == [
        "| A broker that is away | back after | 1.25 s | ≤ 15 s | yes |",
        "|  | told of 60 s | 1 | ≤ 1 | yes |",
        "| Uploads, the worst of 2 runs | took | 5 s | ≤ 9 s | yes |",
        "|  | answered | 0.98 | ≥ 0.9 | yes |",
        "| Many | few: share | 0.5 | ≥ 0.9 | **no** |",
        "|  | all: share | 0.95 | ≥ 0.9 | yes |",
    ]


def test_what_is_written_by_hand_is_left_alone(tmp_path: Path) -> None:
    page, figures = tmp_path / "faults.md", tmp_path / "faults.json"
    page.write_text(f"# Faults\n\n{BEGIN}\nof yesterday\n{END}\n\nBy hand.\n", encoding="utf-8")
    figures.write_text(json.dumps([row._asdict() for row in ROWS]), encoding="utf-8")
    for _ in range(2):
        main(str(figures), str(page))
        text = page.read_text(encoding="utf-8")
        assert text.startswith(f"# Faults\n\n{BEGIN}\n\nMeasured 20")
        assert text.endswith(f"\n{END}\n\nBy hand.\n")
        assert this_machine().sentence() in text
        assert "yesterday" not in text


def test_a_page_without_a_place_for_figures_is_refused(tmp_path: Path) -> None:
    page = tmp_path / "faults.md"
    page.write_text("# Faults", encoding="utf-8")
    with pytest.raises(ValueError, match="needs"):
        write_between(page, "figures", "today")
