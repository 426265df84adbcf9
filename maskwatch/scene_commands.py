"""`maskwatch scene`: turn the demo scene's knobs, and draw pictures for training."""

import asyncio
from pathlib import Path

import click

from maskwatch.lazy import call
from maskwatch.settings import Settings


@click.group(short_help="Turn the demo scene's knobs; draw pictures for training.")
def scene() -> None:
    """Turn the demo scene's knobs while it runs, or draw annotated pictures."""


@scene.command("set", short_help="Turn knobs, such as light=0.3.")
@click.argument("knobs", nargs=-1, required=True, metavar="KNOB=VALUE...")
@click.option("--camera", "camera_id", default="demo", show_default=True, help="Which scene.")
@click.pass_obj
def scene_set(settings: Settings, knobs: tuple[str, ...], camera_id: str) -> None:
    """Turn knobs: light, blur, noise, colour, masks, crowd.

    Example: maskwatch scene set light=0.3 crowd=8
    """
    turned = asyncio.run(call("producers.knobs:turn", settings, camera_id, knobs))
    click.echo(f"{camera_id}: {turned}")


@scene.command("draw", short_help="Draw annotated pictures, as Pascal VOC.")
@click.argument("folder", type=click.Path(path_type=Path, file_okay=False))
@click.option("--count", type=click.IntRange(1), default=100, show_default=True)
@click.option("--seed", type=int, default=1, show_default=True)
def scene_draw(folder: Path, count: int, seed: int) -> None:
    """Write drawn people with their true boxes into FOLDER.

    Example: maskwatch scene draw drawn --count 400
    """
    call("producers.drawn:write_voc", folder, count, seed)
    click.echo(f"{count} pictures in {folder}")
