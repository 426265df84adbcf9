"""What the pages tell people is there: the settings that they name, and where their links lead."""

import re

import pytest

from maskwatch.settings import PROJECT, Settings

PAGES = {page.name: page.read_text() for page in (PROJECT / "README.md", *sorted((PROJECT / "docs").glob("*.md")))}
GROUPS = {name: field for name, field in Settings() if hasattr(field, "model_dump")}
SETTINGS = sorted(
    {
        (name, group, field)
        for name, page in PAGES.items()
        for group, field in re.findall(r"`([a-z]+)\.([a-z_]+)`", page)
        # A stage's file may be called as its settings are.
        if group in GROUPS and field not in {"py", "js"}
    }
    | {
        (name, group.lower(), field.lower())
        for name, page in PAGES.items()
        for group, field in re.findall(r"MASKWATCH_([A-Z]+)__([A-Z_]+)", page)
    }
)
LINKS = sorted(
    {
        (name, link)
        for name, page in PAGES.items()
        for link in re.findall(r"""(?:\]\(|src=")([^)"#]+)""", page)
        if "://" not in link
    }
)


@pytest.mark.parametrize(("page", "group", "field"), SETTINGS)
def test_settings_that_a_page_names_are_there(page: str, group: str, field: str) -> None:
    assert hasattr(GROUPS[group], field), page


@pytest.mark.parametrize(("page", "link"), LINKS)
def test_links_of_a_page_lead_somewhere(page: str, link: str) -> None:
    folder = PROJECT if page == "README.md" else PROJECT / "docs"
    assert (folder / link).exists()
