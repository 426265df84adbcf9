"""``maskwatch train``, ``export`` and ``evaluate``: from photographs to a model that is known."""

from pathlib import Path
from typing import Any

import click

from maskwatch.settings import MODELS, DetectorSettings, Settings
from maskwatch.training_calls import ask
from maskwatch.training_packages import call, require

SHAPES = ("wide", "square")
PRECISIONS = ("fp32", "fp16", "int8")
YES = click.option("--yes", is_flag=True, help="Install what training needs without asking, if it is not here (3 GB).")
_FOLDER: Any = click.Path(path_type=Path, file_okay=False)
_FILE: Any = click.Path(path_type=Path, dir_okay=False, exists=True)


class Sides(click.ParamType):
    """Width and height as people write them: ``640x384``."""

    name = "WIDTHxHEIGHT"

    def convert(
        self, value: str | tuple[int, int], param: click.Parameter | None, ctx: click.Context | None
    ) -> tuple[int, int]:
        """Read the two numbers."""
        if isinstance(value, tuple):
            return value
        width, _, height = value.partition("x")
        if not (width.isdecimal() and height.isdecimal()):
            self.fail(f"{value!r} is not like 640x384", param, ctx)
        return int(width), int(height)


@click.command("train", short_help="Train a model on a manifest, or go on with a training.")
@click.option("--manifest", type=_FILE, required=True, help="The data, with its split.")
@click.option("--recipe", type=_FILE, help="A TOML file; what is said here comes on top.")
@click.option("--model", metavar="NAME|FILE", help="Where to start: yolov8n, yolov8s, yolo26n, or a checkpoint.")
@click.option("--online", is_flag=True, help="Let an official checkpoint be fetched.")
@click.option("--epochs", type=click.IntRange(1), help="Default: the recipe's, or 50.")
@click.option("--imgsz", "image_size", type=click.IntRange(32, 2048), help="Pixels of the long side.")
@click.option("--batch", type=click.IntRange(1), help="Pictures at a time; a step adds up pictures_a_step (16).")
@click.option("--seed", type=int)
@click.option("--without", multiple=True, metavar="SOURCE", help="Do not train on this source; repeatable.")
@click.option("--hours", type=click.FloatRange(0, min_open=True), help="Stop after the epoch in which they are over.")
@click.option("--out", type=_FOLDER, required=True, help="The training's folder.")
@YES
@click.pass_obj
def train(  # noqa: PLR0913  # a command line
    settings: Settings,
    /,
    manifest: Path,
    out: Path,
    *,
    recipe: Path | None,
    model: str | None,
    online: bool,
    hours: float | None,
    yes: bool,
    **options: Any,  # noqa: ANN401  # click's
) -> None:
    """Train on the train part; the val part chooses the best epoch. Needs the training packages.

    Example: maskwatch train --manifest build/manifest.json --model yolov8n.pt --epochs 50 --out build/train/first

    Killed at any moment, or stopped by --hours, it goes on from its last whole epoch when the command is given again.
    See docs/training.md.
    """
    changes = {name: value for name, value in options.items() if value not in (None, ())}
    places = {"recipe": recipe, "model": model, "online": online, "hours": hours}
    click.echo(ask("training.session:command", settings, manifest, out, **places, changes=changes, yes=yes))


def model_folder(_ctx: click.Context, _param: click.Parameter, value: Path | None) -> Path | None:
    """Take a model's name in data/models, or its folder."""
    return None if value is None else DetectorSettings(model=value).model


@click.command("evaluate", short_help="Judge an exported model on photographs.")
@click.argument("model", type=_FOLDER, callback=model_folder)
@click.option("--manifest", type=_FILE, required=True, help="The data, with its split.")
@click.option("--part", type=click.Choice(("train", "val", "test", "holdout")), default="test", show_default=True)
@click.option("--source", "sources", multiple=True, metavar="NAME", help="Only this source; repeatable.")
@click.option("--shape", "shapes", multiple=True, type=click.Choice(SHAPES), default=SHAPES, show_default=True)
@click.option("--precision", "precisions", multiple=True, type=click.Choice(PRECISIONS), help="Default: all it has.")
@click.option("--against", type=_FOLDER, callback=model_folder, metavar="MODEL", help="Compare on the same pictures.")
@click.option("--robustness", is_flag=True, help="The same pictures dimmed, blurred, noisy and so on.")
@click.option("--scales", is_flag=True, help="The same pictures with faces from 12 px to the whole frame.")
@click.option("--speed/--no-speed", default=True, show_default=True, help="Measure time and memory.")
@click.option("--pictures/--no-pictures", default=True, show_default=True, help="Draw curves and the worst pictures.")
@click.option("--card", is_flag=True, help="Write the model's card.md and figures.json too.")
@click.option("--out", type=_FOLDER, default=Path("build/evaluation"), show_default=True, help="Answers and report.")
@click.option("--json", "as_json", is_flag=True, help="For scripts.")
@YES
@click.pass_obj
def evaluate(  # noqa: PLR0913  # a command line
    settings: Settings,
    /,
    model: Path,
    manifest: Path,
    *,
    robustness: bool,
    scales: bool,
    card: bool,
    as_json: bool,
    yes: bool,
    **options: Any,  # noqa: ANN401  # click's
) -> None:
    """Run an exported model, as workers run it, over pictures that it was not trained on.

    Example: maskwatch evaluate default --manifest build/manifest.json --part val

    MODEL is a name in data/models or a folder. Answers are kept: what was asked once is not asked again. See
    docs/evaluation.md.
    """
    told = ask(
        "training.evaluation.evaluate:command",
        settings,
        model,
        manifest,
        options,
        robustness=robustness,
        scales=scales,
        card=card,
        as_json=as_json,
        yes=yes,
    )
    click.echo(told)


@click.command("export", short_help="Turn a training into a model that workers serve.")
@click.argument("training", metavar="TRAINING|CHECKPOINT", type=click.Path(path_type=Path, exists=True))
@click.option("--manifest", type=_FILE, help="Calibrates INT8 with its train part; default: the training's own.")
@click.option("--name", required=True, help="What detections say.")
@click.option("--version", required=True, help="What detections say.")
@click.option("--out", type=_FOLDER, required=True, help="The model's folder; replaced when all is right.")
@click.option("--golden", type=_FILE, default=MODELS / "default" / "golden.jpg", help="A JPEG with faces.")
@click.option("--wide", type=Sides(), default="640x384", show_default=True, help="The cameras' input.")
@click.option("--square", type=Sides(), default="640x640", show_default=True, help="The uploads' input.")
@click.option(
    "--precision", "precisions", multiple=True, type=click.Choice(PRECISIONS), default=PRECISIONS, show_default=True
)
@click.option("--end-to-end", is_flag=True, help="YOLO26's head that needs no suppression.")
@click.option("--head-in-floats", is_flag=True, help="Leave the head out of INT8: slower, and sometimes better.")
@click.option("--half-weights", is_flag=True, help="Store weights once, in half precision: a third of the size.")
@YES
def export(
    training: Path,
    manifest: Path | None,
    out: Path,
    golden: Path,
    *,
    yes: bool,
    **options: Any,  # noqa: ANN401  # click's
) -> None:
    """Export the best checkpoint with everything that serving needs inside the graph.

    Example: maskwatch export build/train/best-run --name yolov8n-facemask --version 2 --out data/models/default
    """
    click.echo(ask("training.artefact.export:command", training, manifest, golden, out, options, yes=yes))


@click.command("retrain", short_help="Learn from people's labels: train, judge, and swap if it is better.")
@click.option("--here", is_flag=True, help="In this process, instead of asking the retrainer for it.")
@click.option("--out", "folder", type=_FOLDER, help="With --here: the round's folder; one that was cut off goes on.")
@click.option("--why", default="asked for", show_default=True, metavar="TEXT", help="Kept with the version.")
@click.option("--judge", metavar="VERSION", help="With --here: only judge this one, and promote nothing.")
@click.option("--json", "as_json", is_flag=True, help="With --here: the verdict, for scripts.")
@YES
@click.pass_obj
def retrain(  # noqa: PLR0913  # a command line
    settings: Settings, folder: Path | None, why: str, judge: str | None, *, here: bool, as_json: bool, yes: bool
) -> None:
    """Train the champion on with what people labelled, judge the result, and promote it if it is better.

    Example: maskwatch retrain --why "the light at the door has changed"

    «maskwatch retrainer», part of «up», does it as soon as it has no other round; see docs/learning.md.
    """
    if here:
        click.echo(ask("training.round:command", settings, folder, why, judge, as_json=as_json, yes=yes))
        return
    if not settings.kafka.bootstrap_servers:
        # The retrainer is part of «up» then, and runs out of this installation.
        require(yes=yes)
    call("maskwatch.promoting:ask_for_round", settings, why=why)
