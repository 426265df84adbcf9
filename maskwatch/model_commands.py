"""``maskwatch models`` and ``maskwatch mlflow``: what was trained, and what became of it."""

from pathlib import Path

import click

from maskwatch.settings import Settings
from maskwatch.training_commands import model_folder
from maskwatch.training_packages import call

_FOLDER = click.Path(path_type=Path, file_okay=False, exists=True)
_PLACE = click.Path(path_type=Path, file_okay=False)
_FILE = click.Path(path_type=Path, dir_okay=False, exists=True)


@click.group(short_help="List, show, compare or register models.")
def models() -> None:
    """List models in folders and in the registry, look at one, compare two, register one."""


@models.command("list", short_help="Every model, and how well it does.")
@click.option("--json", "as_json", is_flag=True, help="For scripts.")
@click.pass_obj
def models_list(settings: Settings, *, as_json: bool) -> None:
    """List the models in data/models and the versions in MLflow's registry.

    Example: maskwatch models list
    """
    call("training.models:show_list", settings, as_json=as_json)


@models.command("show", short_help="All that is known of one model.")
@click.argument("which")
@click.option("--json", "as_json", is_flag=True, help="For scripts.")
@click.pass_obj
def models_show(settings: Settings, which: str, *, as_json: bool) -> None:
    """Show a model: the number of a version, an alias such as champion, or a folder such as default.

    Example: maskwatch models show champion
    """
    call("training.models:show", settings, which, as_json=as_json)


@models.command("compare", short_help="The figures of two models, side by side.")
@click.argument("first")
@click.argument("second")
@click.option("--manifest", type=_FILE, help="Hold them against each other by paired bootstrap, on kept answers.")
@click.option(
    "--kept",
    type=click.Path(path_type=Path),
    default="build/evaluation/answers",
    show_default=True,
    help="Of evaluations.",
)
@click.option("--json", "as_json", is_flag=True, help="For scripts.")
@click.pass_obj
def models_compare(  # noqa: PLR0913  # a command line
    settings: Settings, first: str, second: str, *, manifest: Path | None, kept: Path, as_json: bool
) -> None:
    """Compare the figures of two models: versions, aliases or folders.

    Example: maskwatch models compare champion previous --manifest build/train/manifest.json

    With --manifest it says how likely the first is better on the same pictures; both must have been evaluated on them.
    """
    call("training.models:compare", settings, first, second, manifest=manifest, kept=kept, as_json=as_json)


@models.command("register", short_help="Make an exported model a version in the registry.")
@click.argument("folder", type=_FOLDER)
@click.option("--training", type=_FOLDER, help="Folder of the training that it is from: its run gets the files.")
@click.option("--champion", is_flag=True, help="Let «champion» name it, and «previous» the one before.")
@click.pass_obj
def models_register(settings: Settings, folder: Path, training: Path | None, *, champion: bool) -> None:
    """Register the exported model in FOLDER; what is registered already is brought up to date.

    Example: maskwatch models register data/models/default --champion

    Aliases are for people: what workers serve does not change by them.
    """
    call("training.models:register", settings, folder, training, champion=champion)


@click.group(
    invoke_without_command=True,
    short_help="Open MLflow's pages; send it what trainings could not.",
    no_args_is_help=False,
)
@click.option("--port", type=click.IntRange(1, 65_535), help="Default: mlflow.port.")
@click.option("--no-browser", is_flag=True, help="Only print the address.")
@click.pass_context
def mlflow(ctx: click.Context, port: int | None, *, no_browser: bool) -> None:
    """Open MLflow's pages on this machine: trainings with their curves, and registered models.

    Example: maskwatch mlflow --port 5001
    """
    if ctx.invoked_subcommand is None:
        call("training.pages:show", ctx.obj, port, browse=not no_browser)


@mlflow.command("sync", short_help="Send what trainings could not.")
@click.argument("folders", nargs=-1, required=True, metavar="FOLDER...", type=_FOLDER)
@click.pass_obj
def mlflow_sync(settings: Settings, folders: tuple[Path, ...]) -> None:
    """Send MLflow what it has not taken yet of the trainings in or below FOLDER.

    Example: maskwatch mlflow sync build/train

    It may be given as often as you like: nothing is logged twice.
    """
    call("training.tracking:sync", settings, folders)


@models.command("gate", short_help="Say whether a model may take the champion's place.")
@click.argument("candidate", type=_PLACE, callback=model_folder)
@click.option("--manifest", type=_FILE, required=True, help="Its parts holdout and test judge.")
@click.option("--champion", type=_PLACE, callback=model_folder, metavar="MODEL", help="Default: detector.model.")
@click.option("--out", type=_PLACE, default=Path("build/gate"), show_default=True, help="Answers and verdict.")
@click.option("--json", "as_json", is_flag=True, help="For scripts.")
@click.pass_obj
def models_gate(  # noqa: PLR0913  # a command line
    settings: Settings, /, candidate: Path, manifest: Path, *, champion: Path | None, out: Path, as_json: bool
) -> None:
    """Hold a candidate against the champion on the same pictures, and say which condition it fails.

    Example: maskwatch models gate build/model --manifest build/manifest.json

    Ends with 1 where it is refused. See docs/gate.md.
    """
    call("training.gate:command", settings, candidate, manifest, champion=champion, out=out, as_json=as_json)


@models.command("promote", short_help="Let a model serve, in every worker, without a restart.")
@click.argument("which")
@click.option("--verdict", type=_FILE, help="The gate's verdict.json: refuses what the gate refused, and is kept.")
@click.option("--why", default="", metavar="TEXT", help="Kept with the version.")
@click.pass_obj
def models_promote(settings: Settings, which: str, *, verdict: Path | None, why: str) -> None:
    """Put a model into the store and let every worker serve it: a folder, a name in data/models, or a version.

    Example: maskwatch models promote build/model --verdict build/gate/verdict.json

    Workers fetch it, check it and swap between two batches; «maskwatch models roll-back» is the way back.
    """
    call("maskwatch.promoting:promote", settings, which, verdict=verdict, why=why)


@models.command("roll-back", short_help="Let the model serve that served before.")
@click.option("--why", default="", metavar="TEXT", help="Kept with the version.")
@click.pass_obj
def models_roll_back(settings: Settings, *, why: str) -> None:
    """Go back one step; given twice, it goes forward again.

    Example: maskwatch models roll-back --why "finds fewer faces at the door"
    """
    call("maskwatch.promoting:roll_back", settings, why=why)


@models.command("watch", short_help="How the champion and the model before it agree.")
@click.option("--json", "as_json", is_flag=True, help="For scripts.")
@click.pass_obj
def models_watch(settings: Settings, *, as_json: bool) -> None:
    """Print what the champion and the model before it have seen on the same live frames, by camera.

    Example: maskwatch models watch

    After a promotion the model before looks at one frame in twenty for a day; see docs/models.md.
    """
    call("maskwatch.watching:show", settings, as_json=as_json)


@models.command("mirror", short_help="Let MLflow's aliases say which model serves.")
@click.pass_obj
def models_mirror(settings: Settings) -> None:
    """Let the aliases champion and previous name in MLflow what models.v1 says; it may be given as often as you like.

    Example: maskwatch models mirror

    Models that MLflow does not know are fetched from the store and registered. The retrainer does the same by itself.
    """
    call("training.mirror:command", settings)
