"""The command line: `maskwatch`, grouped by what a person wants to do.

Stages are named as strings and imported when they are called, so that `maskwatch camera` never loads what the
detector needs. Errors that we raise on purpose end in one line and an exit code; everything else is a crash and shows
where it happened.
"""

import json
import logging
import os
import sys
from pathlib import Path
from typing import Any, NoReturn

import click

from maskwatch import __version__
from maskwatch.addresses import hide_users
from maskwatch.camera_commands import cameras
from maskwatch.data_commands import data
from maskwatch.drift_commands import alerts, drift
from maskwatch.errors import MaskwatchError
from maskwatch.label_commands import dataset
from maskwatch.lazy import call
from maskwatch.messages import CLASSES
from maskwatch.model_commands import mlflow, models
from maskwatch.recording_commands import DURATION, record, replay
from maskwatch.scene_commands import scene
from maskwatch.secret_commands import secrets
from maskwatch.settings import FILE_VARIABLE, Settings, describe, load
from maskwatch.training_commands import evaluate, export, retrain, train

STAGES = ("detector", "live", "api", "alerts", "dataset", "rollout", "retrainer", "archive", "mqtt")
SECTIONS = {
    "Run": ("up", "doctor", "topics", "settings", "secrets"),
    "Cameras": ("cameras", "camera", "scene"),
    "Watch": ("tail", "record", "replay", "drift"),
    "Train": ("data", "train", "export", "evaluate", "retrain", "models", "mlflow"),
    "Stages, one process each": STAGES,
}
_CONTEXT = {"help_option_names": ["-h", "--help"], "max_content_width": 100}


class SectionedGroup(click.Group):
    """A group whose help is ordered by what a person wants to do."""

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write one list a section."""
        for title, names in SECTIONS.items():
            if names == STAGES:  # a screen is not for what «up» starts by itself
                with formatter.section(title):
                    formatter.write_text(", ".join(names))
                continue
            rows = [
                (name, command.get_short_help_str(90)) for name in names if (command := self.get_command(ctx, name))
            ]
            with formatter.section(title):
                formatter.write_dl(rows)

    def invoke(self, ctx: click.Context) -> Any:  # noqa: ANN401  # click's signature
        """Run a command; what we raise on purpose becomes one line and an exit code."""
        try:
            return super().invoke(ctx)
        except MaskwatchError as error:
            click.echo(f"maskwatch: {error}", err=True)
            sys.exit(error.exit_code)


@click.group(cls=SectionedGroup, context_settings=_CONTEXT)
@click.version_option(__version__, prog_name="maskwatch")
@click.option(
    "--settings",
    "file",
    type=click.Path(path_type=Path, dir_okay=False),
    help="TOML file; default: maskwatch.toml here.",
)
@click.pass_context
def main(ctx: click.Context, file: Path | None) -> None:
    """Watch cameras for face masks, over Kafka.

    Begin with «maskwatch up» and open the address that it prints.
    """
    if os.environ.get("NO_COLOR"):
        ctx.color = False
    if ctx.resilient_parsing or ctx.invoked_subcommand is None:
        return
    import structlog  # noqa: PLC0415  # not for «--help»

    hide_users()
    if file is not None:
        # What this process starts reads the same file.
        os.environ[FILE_VARIABLE] = str(file.resolve())
    # What it would say is said in our own errors; stages set their logs up anew.
    logging.getLogger("aiokafka").setLevel(logging.CRITICAL)
    # Standard output is the answer's alone: scripts read it.
    structlog.configure(logger_factory=lambda *_: structlog.PrintLogger(sys.stderr))
    settings, warnings = load(file)
    for warning in warnings:
        click.echo(f"maskwatch: {warning}", err=True)
    ctx.obj = settings


@main.command(short_help="Start everything on this machine and print where to look.")
@click.option(
    "--camera", "cameras", multiple=True, metavar="SOURCE", help="scene, webcam:0, a clip or a folder; repeatable."
)
@click.option("--cameras", "file", type=click.Path(path_type=Path, dir_okay=False, exists=True), help="A cameras.toml.")
@click.option("--no-demo", is_flag=True, help="Without a camera show none, not the demo scene.")
@click.option("--lan", is_flag=True, help="Let phones nearby in, over HTTPS and with a token; prints a QR code.")
@click.pass_obj
def up(settings: Settings, cameras: tuple[str, ...], file: Path | None, *, no_demo: bool, lan: bool) -> None:
    """Start Kafka, Valkey, a detector, the console and the cameras on this machine.

    Example: maskwatch up --camera webcam:0

    Without a camera the demo scene is shown. Ctrl-C stops everything; nothing recorded is lost.
    """
    sys.exit(call("maskwatch.embedded.up:up", settings, sources=cameras, cameras_file=file, demo=not no_demo, lan=lan))


@main.command(short_help="Tell what is reachable, and how fast this machine detects.")
@click.option("--json", "as_json", is_flag=True, help="For scripts.")
@click.pass_obj
def doctor(settings: Settings, *, as_json: bool) -> None:
    """Check Kafka, Valkey, the model, the ports and the speed of this machine.

    Example: maskwatch doctor --json

    Exit code 0 when nothing is missing.
    """
    sys.exit(call("maskwatch.doctor:doctor", settings, as_json=as_json))


@main.command(short_help="List the topics; --create makes the missing ones.")
@click.option("--create", is_flag=True, help="Create what is missing.")
@click.option("--json", "as_json", is_flag=True, help="For scripts.")
@click.pass_obj
def topics(settings: Settings, *, create: bool, as_json: bool) -> None:
    """List every topic: key, partitions, retention, and what it carries.

    Example: maskwatch topics --create
    """
    call("maskwatch.topics:show", settings, create=create, as_json=as_json)


@main.command("settings", short_help="Print the effective settings, secrets masked.")
@click.option("--json", "as_json", is_flag=True, help="For scripts.")
@click.pass_obj
def show_settings(settings: Settings, *, as_json: bool) -> None:
    """Print every setting: its name, its value in effect, and what it is for.

    Example: MASKWATCH_API__PORT=9000 maskwatch settings
    """
    rows = list(describe(settings))
    if as_json:
        click.echo(json.dumps({name: value for name, value, _ in rows}, indent=2))
        return
    width = max(len(name) for name, _, _ in rows)
    for name, value, description in rows:
        click.echo(f"{name:<{width}}  {value or '-'}")
        click.echo(f"{'':<{width}}  {click.style(description, dim=True)}")


@main.command(short_help="Publish a camera, clip, folder or the demo scene to Kafka.")
@click.argument("source", required=False)
@click.option("--id", "camera_id", metavar="ID", help="Camera id; default: made from the source.")
@click.option("--rate", type=click.FloatRange(0, 60, min_open=True), help="Frames a second at most.")
@click.option("--width", "longest_side", type=click.IntRange(64, 4096), help="Longest side in pixels.")
@click.option("--quality", type=click.IntRange(10, 100), help="JPEG quality.")
@click.option("--cast", type=click.Path(file_okay=False, exists=True), help="Scene: folder of annotated photographs.")
@click.option("--once", is_flag=True, help="Clip or folder: end after the last picture.")
@click.option("--fast", is_flag=True, help="Clip or folder: as fast as it can be read.")
@click.option("--file", type=click.Path(path_type=Path, dir_okay=False, exists=True), help="A cameras.toml with many.")
@click.option("--and-wished", is_flag=True, help="Beside SOURCE, capture what cameras.v1 wishes for.")
@click.option("--or-demo", is_flag=True, help="Publish the demo scene, as camera «demo», if no camera is wished for.")
@click.pass_obj
def camera(settings: Settings, /, source: str | None, file: Path | None, **options: Any) -> None:  # noqa: ANN401  # click's
    """Publish frames from SOURCE: scene, webcam:0, rtsp://…, http://…, a clip or a folder of pictures.

    Example: maskwatch camera webcam:0 --id desk --rate 5

    Without a SOURCE every camera wished for in cameras.v1 is published, and changes there are followed.
    """
    once, fast = options.pop("once"), options.pop("fast")
    which = {"or_demo": options.pop("or_demo"), "and_wished": options.pop("and_wished")}
    chosen = {name.replace("camera_id", "id"): value for name, value in options.items() if value is not None}
    if once:
        chosen["loop"] = False
    if fast:
        chosen["pace"] = "fast"
    stage = call("producers.capture:stage", settings, source, chosen, file, **which)
    call("maskwatch.worker:run", "capture", stage, settings)


main.add_command(cameras)
main.add_command(models)
main.add_command(mlflow)
main.add_command(data)
main.add_command(train)
main.add_command(export)
main.add_command(evaluate)
main.add_command(retrain)
main.add_command(scene)
main.add_command(secrets)


@main.command(short_help="Print what is detected, as it is; or save frames.")
@click.argument("kind", type=click.Choice(["detections", "predictions", "status", "frames"]))
@click.option("--camera", "keys", multiple=True, metavar="ID", help="Only this camera (or upload); repeatable.")
@click.option("--label", "labels", multiple=True, type=click.Choice(CLASSES), help="Only with such a face; repeatable.")
@click.option("--min-score", "least_score", type=click.FloatRange(0, 1), default=0.0, help="Only with a face so sure.")
@click.option("--since", "since_s", **DURATION, help="Begin that far back, such as 10m.")
@click.option("--from-beginning", is_flag=True, help="Begin with the oldest that is still there.")
@click.option("--group", default="", metavar="NAME", help="Keep the place in Kafka: the next time goes on there.")
@click.option("--count", type=click.IntRange(1), help="End after so many.")
@click.option("--save", type=click.Path(path_type=Path, file_okay=False), metavar="FOLDER", help="Where frames go.")
@click.option("--json", "as_json", is_flag=True, help="One JSON object a line.")
@click.pass_obj
def tail(settings: Settings, /, kind: str, **options: Any) -> None:  # noqa: ANN401  # click's
    """Print messages of one KIND until Ctrl-C: detections, predictions, status or frames.

    Example: maskwatch tail detections --camera door-2 --label without_mask

    What is printed is read from Kafka without a group, so that nobody else gets less.
    """
    call("maskwatch.tail:command", settings, kind, **options)


main.add_command(record)
main.add_command(replay)


@main.command(short_help="Detect faces on frames.")
@click.pass_obj
def detector(settings: Settings) -> None:
    """Run one detector worker; start as many as you have cores or GPUs for.

    Example: MASKWATCH_DETECTOR__SCORE=0.5 maskwatch detector
    """
    call("maskwatch.lazy:run_stage", "detector", "processors.detection:detect", settings)


@main.command(short_help="Keep each camera's latest picture for the browsers.")
@click.pass_obj
def live(settings: Settings) -> None:
    """Join frames with their detections and keep the latest of each camera in Valkey.

    Example: maskwatch live
    """
    call("maskwatch.lazy:run_stage", "live", "consumers.live:keep_live", settings)


@main.command(short_help="Change which model serves, by command.")
@click.pass_obj
def rollout(settings: Settings) -> None:
    """Take commands to promote a model or to roll back; one of them works at a time, further ones wait to take over.

    Example: maskwatch rollout
    """
    call("maskwatch.lazy:run_stage", "rollout", "processors.rollout:roll_out", settings)


@main.command(short_help="Start rounds of the learning loop.")
@click.pass_obj
def retrainer(settings: Settings) -> None:
    """Start a round when there are labels enough and it is time, at low priority; one at a time, whoever runs it.

    Example: MASKWATCH_RETRAIN__LABELS=50 maskwatch retrainer
    """
    call("maskwatch.lazy:run_stage", "retrainer", "consumers.retrain:keep_learning", settings)


main.add_command(drift)
main.add_command(alerts)
main.add_command(dataset)


@main.command(short_help="Keep answers to uploads as files by day.")
@click.pass_obj
def archive(settings: Settings) -> None:
    """Write answers to uploads into archive.url as JSON lines by day, and remove old days.

    Example: MASKWATCH_ARCHIVE__URL=s3://bucket/archive maskwatch archive
    """
    call("maskwatch.lazy:run_stage", "archive", "consumers.archive:archive", settings)


@main.command(short_help="Tell detections and camera states again over MQTT.")
@click.pass_obj
def mqtt(settings: Settings) -> None:
    """Mirror detections and the states of cameras to the MQTT broker of mqtt.url.

    Example: MASKWATCH_MQTT__URL=mqtt://broker:1883 maskwatch mqtt
    """
    call("maskwatch.lazy:run_stage", "mqtt", "consumers.mqtt:mirror", settings)


@main.command(short_help="Serve the console, REST and WebSocket.")
@click.option("--routers", metavar="NAME,…", default="", help="Only these calls, such as live or signals,episodes.")
@click.pass_obj
def api(settings: Settings, *, routers: str) -> None:
    """Serve the console and the API, or some of its calls, so that several processes share the work.

    Example: MASKWATCH_API__PORT=8002 maskwatch api --routers live
    """
    stage = call("api.app:stage", [name.strip() for name in routers.split(",") if name.strip()])
    call("maskwatch.worker:run", "api", stage, settings)


def run() -> NoReturn:
    """Enter from ``python -m maskwatch``."""
    main(prog_name="maskwatch")
    raise SystemExit(0)
