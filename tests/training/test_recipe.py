from pathlib import Path

import pytest

from training.recipe import Recipe, read_recipe


def test_a_recipe_is_read_from_toml(tmp_path: Path) -> None:
    (tmp_path / "r.toml").write_text(
        'weights = "start.pt"\nepochs = 3\nshares = {portraits = 0.3}\nwithout = ["drawn"]'
    )
    assert read_recipe(tmp_path / "r.toml") == Recipe(
        weights=Path("start.pt"), epochs=3, shares={"portraits": 0.3}, without=("drawn",)
    )


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("weights = 3", "is not a recipe: 3 is no path"),
        ('weights = "a.pt"\nlearning_rate = 7', "<= 1.0 - at `.*learning_rate`"),
        ('weights = "a.pt"\nepoch = 3', "unknown field `epoch`"),
        ('weights = "a.pt"\nbf16 = true\ndistil_from = "b.pt"', "do not go together"),
        ("epochs = 3", "missing required field `weights`"),
        ("epochs =", "is not a recipe"),
    ],
)
def test_what_is_no_recipe_is_said(tmp_path: Path, text: str, says: str) -> None:
    (tmp_path / "r.toml").write_text(text)
    with pytest.raises(ValueError, match=says):
        read_recipe(tmp_path / "r.toml")
