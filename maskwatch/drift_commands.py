"""The commands about drift: the monitor, who is told, and how well it is told."""

from pathlib import Path
from typing import Any

import click

from maskwatch.lazy import call
from maskwatch.settings import Settings


@click.group(invoke_without_command=True, short_help="Notice when the world has changed; «evaluate» tells how well.")
@click.pass_context
def drift(ctx: click.Context) -> None:
    """Watch detections for drift: episodes go to drift.v1, signals to signals.v1.

    Example: MASKWATCH_DRIFT__BUDGET=4 maskwatch drift
    """
    if ctx.invoked_subcommand is None:
        call("maskwatch.lazy:run_stage", "drift", "processors.app:watch_drift", ctx.obj)


@drift.command("evaluate", short_help="Tell how well drift is told on your own recordings.")
@click.argument("files", nargs=-1, required=True, type=click.Path(path_type=Path, dir_okay=False))
@click.option(
    "--months", type=click.FloatRange(0, min_open=True), default=0.1, show_default=True, help="Camera-months."
)
@click.option("--seeds", type=click.IntRange(1), default=20, show_default=True, help="Runs of each change.")
@click.option("--no-changes", is_flag=True, help="Look at the pictures as they are only; 28 times as quick.")
@click.option("--json", "as_json", is_flag=True, help="For scripts.")
@click.pass_obj
def drift_evaluate(settings: Settings, /, *, as_json: bool, no_changes: bool, **plan: Any) -> None:  # noqa: ANN401  # click's
    """Replay recordings through the real detector and the real logic, and print how well drift is told.

    Example: maskwatch drift evaluate visit.mcap --no-changes

    What was seen is kept beside each recording: the second time is quick, and a run that was stopped goes on.
    """
    options = call("processors.evaluate:Plan", changes=not no_changes, **plan)
    call("processors.evaluate:command", settings, options, as_json=as_json)


@click.command(short_help="Tell people of episodes of drift: log and webhook.")
@click.pass_obj
def alerts(settings: Settings) -> None:
    """Raise one alert for each episode, and post it to alerts.webhook if there is one.

    Example: MASKWATCH_ALERTS__WEBHOOK=https://example.org/hook maskwatch alerts
    """
    call("maskwatch.lazy:run_stage", "alerts", "consumers.alerts:raise_alerts", settings)
