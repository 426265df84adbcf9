"""The commands about recordings: what comes is written into a file, and published again or looked at from there."""

from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, TypeVar

import click

from maskwatch.lazy import call
from maskwatch.quantities import parse_duration, parse_moment, parse_size
from maskwatch.settings import Settings

_Value = TypeVar("_Value")


def quantity(parse: Callable[[str], _Value]) -> Callable[[click.Context, click.Parameter, str | None], _Value | None]:
    """Make an option of what people write as ``2GB`` or ``10m``."""

    def callback(_ctx: click.Context, _param: click.Parameter, value: str | None) -> _Value | None:
        try:
            return None if value is None else parse(value)
        except ValueError as error:
            raise click.BadParameter(str(error)) from error

    return callback


SIZE: Any = {"metavar": "SIZE", "callback": quantity(parse_size)}
DURATION: Any = {"metavar": "TIME", "callback": quantity(parse_duration)}
MOMENT: Any = {"metavar": "TIME", "callback": quantity(lambda text: parse_moment(text, datetime.now(UTC)))}


@click.command(short_help="Record topics into a file; --info tells what is in one.")
@click.argument("file", type=click.Path(path_type=Path, dir_okay=False))
@click.option("--topic", "names", multiple=True, metavar="NAME", help="Which, repeatable; default: frames.live.v1.")
@click.option("--all", "every", is_flag=True, help="Every topic.")
@click.option("--camera", "cameras", multiple=True, metavar="ID", help="Only this camera; repeatable.")
@click.option("--since", "since_s", **DURATION, help="Begin that far back, such as 10m, and end with now.")
@click.option("--from-beginning", is_flag=True, help="Begin with the oldest that is still there, and end with now.")
@click.option("--follow", is_flag=True, help="Having begun in the past, go on with what comes.")
@click.option("--max-size", "max_bytes", **SIZE, default="2GB", show_default=True, help="Size of FILE at most.")
@click.option("--duration", "duration_s", **DURATION, help="End after that long, such as 90s.")
@click.option("--force", is_flag=True, help="Replace FILE.")
@click.option("--info", is_flag=True, help="Record nothing: tell what is in FILE.")
@click.option("--json", "as_json", is_flag=True, help="Tell what is in FILE for scripts.")
@click.pass_obj
def record(settings: Settings, /, *, info: bool, as_json: bool, **options: Any) -> None:  # noqa: ANN401  # click's
    """Record frames with their headers, or any topic, into FILE until Ctrl-C.

    Example: maskwatch record visit.mcap --camera door-2 --duration 90s

    What was written can be replayed, whatever ends the recording; see docs/recording.md.
    """
    if info:
        call("maskwatch.recording.info:show", options["file"], as_json=as_json)
        return
    call("consumers.recorder:command", settings, as_json=as_json, **options)


@click.command(short_help="Publish a recording again, as new frames.")
@click.argument("file", required=False, type=click.Path(path_type=Path, dir_okay=False))
@click.option(
    "--speed", type=click.FloatRange(0, 1000, min_open=True), default=1.0, show_default=True, help="2: twice."
)
@click.option("--fast", is_flag=True, help="As fast as Kafka takes it, every frame acknowledged.")
@click.option("--loop", is_flag=True, help="Begin again at the end, until Ctrl-C.")
@click.option("--topic", "names", multiple=True, metavar="NAME", help="Which, repeatable; default: the frames, live.")
@click.option("--camera", "cameras", multiple=True, metavar="ID", help="Only this camera; repeatable.")
@click.option("--rename", "renamed", multiple=True, metavar="OLD=NEW", help="Replay a camera under another id.")
@click.option("--as-recorded", is_flag=True, help="Keep the ids of the frames: headers byte for byte.")
@click.option("--model", "models", multiple=True, metavar="MODEL", help="Publish nothing: compare two models on it.")
@click.option(
    "--from", "since", **MOMENT, help="With --model, without FILE: what frames.recording.v1 keeps since then."
)
@click.option("--json", "as_json", is_flag=True, help="With --model: for scripts.")
@click.pass_obj
def replay(
    settings: Settings,
    /,
    file: Path | None,
    models: tuple[str, ...],
    *,
    since: datetime | None,
    as_json: bool,
    **options: Any,  # noqa: ANN401  # click's
) -> None:
    """Publish the frames of a recording at the pace they came, or faster.

    Example: maskwatch replay visit.mcap --speed 2 --rename door-2=door-2-again

    The console shows the cameras while it lasts; a file that is cut off is replayed up to the cut. With --model, twice
    or once beside detector.model, nothing is published: it prints how the two models agree, by camera; on a FILE, or on
    the frames that are kept for a day: maskwatch replay --model build/model --from 2h
    """
    if (file is None) == (since is None):
        raise click.UsageError("name a FILE or, with --model, where to begin: --from 2h")
    if models:
        if len(models) > 2:  # noqa: PLR2004  # side by side
            raise click.UsageError("--model may be given twice at most")
        source = file or since
        call("processors.comparing:command", settings, source, models, options["cameras"], as_json=as_json)
        return
    if file is None:
        raise click.UsageError("--from belongs to --model: what is published again comes from a FILE")
    call("producers.replay:command", settings, file=file, **options)
