"""A training of two epochs from folders of pictures, killed and resumed. Needs the training packages."""

import importlib.util
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import msgspec
import pytest
from click.testing import CliRunner, Result

from maskwatch.cli import main
from producers.drawn import write_voc
from training.datasets import manifest
from training.errors import DivergedError, StageOverError, TrainingError
from training.journal import Became, Kept, Metrics, read
from training.recipe import Recipe

pytestmark = [
    pytest.mark.skipif(
        importlib.util.find_spec("ultralytics") is None, reason="the training packages are not here: make test TRAIN=1"
    ),
    pytest.mark.timeout(900),
    pytest.mark.filterwarnings("default"),  # torch warns about itself
]
SIZE = ("--imgsz", "64", "--batch", "8", "--epochs", "3")


def run(*arguments: object) -> Result:
    return CliRunner().invoke(main, [str(argument) for argument in arguments])


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with pictures, their manifest, and start weights that need no download."""
    from ultralytics import YOLO  # noqa: PLC0415  # seconds, and only here

    folder = tmp_path_factory.mktemp("training")
    write_voc(folder / "people", 40, 5)
    assert run("data", "import", folder / "people", "--out", folder / "catalogue.json").exit_code == 0
    split = run("data", "split", folder / "catalogue.json", "--out", folder / "manifest.json")
    assert split.exit_code == 0, split.output
    assert "people" in split.output
    YOLO("yolov8n.yaml").save(folder / "start.pt")
    return folder


@pytest.fixture(autouse=True)
def own_mlflow(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MASKWATCH_DATA_DIR", str(tmp_path / "state"))


def arguments(place: Path, out: Path, *more: str) -> list[str]:
    given = ["train", "--manifest", place / "manifest.json", "--model", place / "start.pt", "--out", out, *SIZE, *more]
    return [str(argument) for argument in given]


def weights(checkpoint: Path) -> dict[str, Any]:
    import torch  # noqa: PLC0415

    loaded = torch.load(checkpoint, weights_only=False)
    found: dict[str, Any] = (loaded["ema"] or loaded["model"]).float().state_dict()
    return found


def test_a_training_killed_in_mid_epoch_ends_as_if_it_had_not_been(place: Path, tmp_path: Path) -> None:
    import torch  # noqa: PLC0415

    whole, killed = tmp_path / "whole", tmp_path / "killed"
    result = run(*arguments(place, whole))
    assert result.exit_code == 0, result.output
    assert "epoch 3 of 3" in result.output

    first = subprocess.Popen([sys.executable, "-m", "maskwatch", *arguments(place, killed)], stderr=subprocess.DEVNULL)
    while not (killed / "run" / "weights" / "last.pt").exists():  # an epoch is whole, and another under way
        assert first.poll() is None
        time.sleep(0.05)
    os.kill(first.pid, signal.SIGKILL)
    first.wait(10)
    assert not (killed / "done").exists()
    assert (killed / "run" / "weights" / "last.pt").exists()
    assert run(*arguments(place, killed)).exit_code == 0

    one, other = (weights(folder / "run" / "weights" / "last.pt") for folder in (whole, killed))
    assert all(torch.equal(one[name], other[name]) for name in one)
    told = list(read(killed))
    epochs = [event.step for event in told if isinstance(event, Metrics)]
    assert epochs == sorted(set(epochs)) == [1, 2, 3]
    assert {event.path for event in told if isinstance(event, Kept)} >= {"manifest.json", "curves/results.png"}
    assert isinstance(told[-1], Became)
    assert told[-1].state == "FINISHED"
    assert not list(killed.glob("run/weights/exact-*.pt"))

    again = run(*arguments(place, killed))  # finished: nothing is done again
    assert again.exit_code == 0
    assert "best.pt" in again.output


def test_a_training_that_is_asked_to_stop_while_val_judges_ends_there_and_goes_on(place: Path, tmp_path: Path) -> None:
    import torch  # noqa: PLC0415

    from training.train import train  # noqa: PLC0415

    command = [sys.executable, "-m", "tests.support.stopped_training", str(place), str(tmp_path / "stopped")]
    told = subprocess.run(command, capture_output=True, text=True, check=True, timeout=600).stdout
    assert "stopped 2 times" in told
    data = manifest.load(place / "manifest.json")
    recipe = Recipe(weights=place / "start.pt", epochs=2, image_size=64, batch=8)
    resumed = weights(tmp_path / "stopped" / "run" / "weights" / "best.pt")
    whole = weights(train(data, recipe, tmp_path / "whole"))
    assert all(torch.equal(resumed[name], whole[name]) for name in whole)


def test_a_training_in_bf16_learns_in_floats_goes_on_exactly_and_leaves_an_ordinary_checkpoint(
    place: Path, tmp_path: Path
) -> None:
    import torch  # noqa: PLC0415
    from ultralytics import YOLO  # noqa: PLC0415

    recipe, usual = tmp_path / "recipe.toml", tmp_path / "usual.toml"
    recipe.write_text(f'weights = "{place / "start.pt"}"\nrotate = 10\nbf16 = true')
    usual.write_text(f'weights = "{place / "start.pt"}"\nrotate = 10')
    whole, cut = tmp_path / "whole", tmp_path / "cut"
    assert run(*arguments(place, whole, "--recipe", str(recipe))).exit_code == 0
    stopped = run(*arguments(place, cut, "--recipe", str(recipe), "--hours", "0.000001"))
    assert stopped.exit_code == StageOverError.exit_code
    assert run(*arguments(place, cut, "--recipe", str(recipe))).exit_code == 0
    one, other = (weights(folder / "run" / "weights" / "last.pt") for folder in (whole, cut))
    assert all(torch.equal(one[name], other[name]) for name in one)

    floats = tmp_path / "floats"
    assert run(*arguments(place, floats, "--recipe", str(usual))).exit_code == 0
    assert "degrees: 10.0\n" in (floats / "run" / "args.yaml").read_text()
    loss, same_in_floats = (
        next(event.values["loss/box"] for event in read(folder) if isinstance(event, Metrics))
        for folder in (whole, floats)
    )
    assert loss != same_in_floats
    assert loss == pytest.approx(same_in_floats, rel=0.15)
    model = YOLO(whole / "run" / "weights" / "best.pt").model.model[-1]
    assert not model._forward_hooks
    assert not torch.is_autocast_enabled("cpu")


def test_a_stage_ends_after_its_time_and_the_next_goes_on(place: Path, tmp_path: Path) -> None:
    out = tmp_path / "staged"
    stopped = run(*arguments(place, out, "--hours", "0.000001"))
    assert stopped.exit_code == StageOverError.exit_code
    assert "give the command again" in stopped.output
    rest = run(*arguments(place, out))
    assert rest.exit_code == 0
    assert "epoch 1 of 3" not in rest.output


def test_a_folder_is_for_one_training(place: Path, tmp_path: Path) -> None:
    out = tmp_path / "one"
    assert run(*arguments(place, out, "--hours", "0.000001")).exit_code == StageOverError.exit_code
    other = run(*arguments(place, out, "--seed", "7"))
    assert other.exit_code == 1
    assert "another recipe or manifest" in other.output


def test_a_loss_that_is_no_number_is_said_and_not_trained_on(place: Path, tmp_path: Path) -> None:
    import torch  # noqa: PLC0415
    from ultralytics import YOLO  # noqa: PLC0415

    from training.train import train  # noqa: PLC0415

    broken = YOLO(place / "start.pt")
    with torch.no_grad():
        next(broken.model.parameters()).fill_(float("nan"))
    broken.save(tmp_path / "broken.pt")
    recipe = Recipe(weights=tmp_path / "broken.pt", epochs=2, image_size=64, batch=8, degraded=1.0)
    with pytest.raises(DivergedError, match="lower the learning rate"):
        train(manifest.load(place / "manifest.json"), recipe, tmp_path / "diverges")


def test_an_epoch_in_bf16_whose_loss_is_no_number_is_tried_again_and_leaves_an_ordinary_checkpoint(
    place: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import torch  # noqa: PLC0415
    from ultralytics import YOLO  # noqa: PLC0415
    from ultralytics.utils.callbacks import default_callbacks  # noqa: PLC0415

    from training.train import train  # noqa: PLC0415

    spoilt: list[int] = []

    def spoil(trainer: Any) -> None:  # noqa: ANN401  # Ultralytics'
        if trainer.epoch == 1 and not spoilt and trainer._steps + 1 == len(trainer.train_loader):
            trainer.loss = torch.tensor(float("nan"))
            spoilt.append(trainer.epoch)

    monkeypatch.setitem(default_callbacks, "on_train_batch_end", [spoil])  # a trainer takes them over
    data = manifest.load(place / "manifest.json")
    recipe = Recipe(weights=place / "start.pt", epochs=2, image_size=32, batch=8, bf16=True)
    best = train(data, recipe, tmp_path / "run")
    assert spoilt == [1]
    for name in ("best.pt", "last.pt"):
        assert not YOLO(best.with_name(name)).model.model[-1]._forward_hooks


def test_what_an_installation_s_people_labelled_is_never_copied_into_a_run(place: Path, tmp_path: Path) -> None:
    data = manifest.load(place / "manifest.json")
    held = tuple(msgspec.structs.replace(e, part="holdout") if e.part == "test" else e for e in data.entries)
    manifest.save(manifest.Manifest(held), tmp_path / "manifest.json")
    given = arguments(place, tmp_path / "own")
    given[given.index("--manifest") + 1] = str(tmp_path / "manifest.json")
    assert run(*given).exit_code == 0
    kept = {event.path for event in read(tmp_path / "own") if isinstance(event, Kept)}
    assert kept
    assert not any(path.startswith("samples/") for path in kept)


@pytest.mark.parametrize(
    ("changed", "says"),
    [
        (["--model", "yolov8n"], "add --online"),
        (["--model", "nowhere.pt"], "no checkpoint at nowhere.pt"),
        (["--without", "voc"], "no source is called voc"),
        (["--recipe", "RECIPE"], "unknown field `epoch`"),
    ],
)
def test_what_cannot_be_trained_is_said_before_anything_is_done(
    place: Path, tmp_path: Path, changed: list[str], says: str
) -> None:
    (tmp_path / "recipe.toml").write_text('weights = "a.pt"\nepoch = 3')
    more = [str(tmp_path / "recipe.toml") if item == "RECIPE" else item for item in changed]
    result = run(*arguments(place, tmp_path / "out", *more))
    assert result.exit_code == 1
    assert says in result.output
    assert not (tmp_path / "out" / "run").exists()


def test_an_official_checkpoint_that_cannot_be_fetched_is_said(tmp_path: Path) -> None:
    from training.train import official_checkpoint  # noqa: PLC0415

    def away(_: str) -> str:
        raise ConnectionError("no route")

    with pytest.raises(TrainingError, match=r"yolov8n.pt could not be fetched \(no route\)"):
        official_checkpoint("yolov8n", tmp_path, away)
    with pytest.raises(TrainingError, match="could not be fetched; name a file"):
        official_checkpoint("yolov8n", tmp_path, lambda name: name)
    (tmp_path / "yolov8n.pt").write_bytes(b"weights")
    assert official_checkpoint("yolov8n", tmp_path, away) == tmp_path / "yolov8n.pt"


def test_a_version_is_never_replaced_by_another(place: Path, tmp_path: Path) -> None:
    write_voc(tmp_path / "more", 6, 9)
    assert run("data", "import", tmp_path / "more", "--out", tmp_path / "more.json").exit_code == 0
    out = tmp_path / "manifest.json"
    both = ["data", "split", place / "catalogue.json", tmp_path / "more.json", "--train-only", "more", "--out", out]
    assert run(*both).exit_code == 0
    assert run(*both).exit_code == 0  # the same version again
    refused = run("data", "split", tmp_path / "more.json", "--out", out)
    assert refused.exit_code == 1
    assert "is another version" in refused.output
    unknown = run("data", "split", tmp_path / "more.json", "--labels", "door", "--out", tmp_path / "m.json")
    assert "no source is called door; there are more" in unknown.output
    assert {entry["part"] for entry in json.loads(out.read_text())["entries"] if entry["source"] == "more"} == {"train"}
