"""``maskwatch cameras``: the cameras that are wished for, while everything runs."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import click

from maskwatch.lazy import call
from maskwatch.settings import Settings


@click.group(short_help="Add, change, pause, test or remove cameras while everything runs.")
def cameras() -> None:
    """Add, change, pause, test or remove cameras while everything runs; they are kept across restarts."""


def _fields(command: Callable[..., None]) -> Callable[..., None]:
    """Add the options that are fields of a camera."""
    for option in (
        click.option("--kept", "record_rate", type=click.FloatRange(0, 60), help="Frames a second kept for a day."),
        click.option("--quality", type=click.IntRange(10, 100), help="JPEG quality."),
        click.option("--width", "longest_side", type=click.IntRange(64, 4096), help="Longest side in pixels."),
        click.option("--rate", type=click.FloatRange(0, 60, min_open=True), help="Frames a second at most."),
        click.option("--name", help="For people; the id without one."),
    ):
        command = option(command)
    return command


@cameras.command("list", short_help="Every camera, and how it is.")
@click.option("--json", "as_json", is_flag=True, help="For scripts.")
@click.pass_obj
def cameras_list(settings: Settings, *, as_json: bool) -> None:
    """List every camera: where its frames come from, and whether they do.

    Example: maskwatch cameras list
    """
    call("producers.wishing:show", settings, as_json=as_json)


@cameras.command("add", short_help="Wish for a camera.")
@click.argument("source")
@click.option("--id", help="Default: made from the source.")
@_fields
@click.pass_obj
def cameras_add(settings: Settings, /, source: str, **options: Any) -> None:  # noqa: ANN401  # click's
    """Add a camera: rtsp://…, rtsps://…, http://…, webcam:0, a clip, a folder or scene.

    Example: maskwatch cameras add rtsp://10.0.0.7/stream1 --id door --rate 5

    It is captured by the «maskwatch camera» that has no SOURCE of its own, such as that of «maskwatch up».
    """
    click.echo(call("producers.wishing:add", settings, source, _given(options)))


@cameras.command("change", short_help="Change a camera; what is not named stays.")
@click.argument("identity", metavar="ID")
@click.option("--source", help="Another address or path.")
@_fields
@click.pass_obj
def cameras_change(settings: Settings, /, identity: str, **options: Any) -> None:  # noqa: ANN401  # click's
    """Change a camera.

    Example: maskwatch cameras change door --rate 2
    """
    click.echo(call("producers.wishing:change", settings, [identity], _given(options)))


@cameras.command("pause", short_help="Capture no more, for now.")
@click.argument("identities", nargs=-1, required=True, metavar="ID...")
@click.pass_obj
def cameras_pause(settings: Settings, identities: tuple[str, ...]) -> None:
    """Let cameras rest.

    Example: maskwatch cameras pause door
    """
    click.echo(call("producers.wishing:change", settings, identities, {"paused": True}))


@cameras.command("resume", short_help="Capture again.")
@click.argument("identities", nargs=-1, required=True, metavar="ID...")
@click.pass_obj
def cameras_resume(settings: Settings, identities: tuple[str, ...]) -> None:
    """Wake cameras that were paused.

    Example: maskwatch cameras resume door
    """
    click.echo(call("producers.wishing:change", settings, identities, {"paused": False}))


@cameras.command("retry", short_help="Try a camera that is offline again at once.")
@click.argument("identities", nargs=-1, required=True, metavar="ID...")
@click.pass_obj
def cameras_retry(settings: Settings, identities: tuple[str, ...]) -> None:
    """Try cameras again that are offline, without waiting for their time.

    Example: maskwatch cameras retry door
    """
    click.echo(call("producers.wishing:change", settings, identities, {}))


@cameras.command("remove", short_help="Take the wish for a camera back.")
@click.argument("identities", nargs=-1, required=True, metavar="ID...")
@click.pass_obj
def cameras_remove(settings: Settings, identities: tuple[str, ...]) -> None:
    """Remove cameras, also that of a process that has ended; what was recorded of them stays for its time.

    Example: maskwatch cameras remove door
    """
    click.echo(call("producers.wishing:remove", settings, identities))


@cameras.command("test", short_help="Take one picture of a source, here and now.")
@click.argument("source")
@click.option("--save", "file", type=click.Path(path_type=Path, dir_okay=False), help="Where the picture goes.")
@click.pass_obj
def cameras_test(settings: Settings, source: str, file: Path | None) -> None:
    """Open a source on this machine and take one picture; nothing is published.

    Example: maskwatch cameras test rtsp://10.0.0.7/stream1 --save still.jpg
    """
    click.echo(call("producers.wishing:test", settings, source, file))


def _given(options: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in options.items() if value is not None}
