"""The commands about labels: the stage that keeps them, and reading folders of labelled pictures into them."""

from pathlib import Path

import click

from maskwatch.data_commands import FORMATS, data
from maskwatch.settings import Settings
from maskwatch.training_packages import call


@click.command(short_help="Keep labels and their pictures in the store.")
@click.pass_obj
def dataset(settings: Settings) -> None:
    """Keep what labels.v1 says beside the pictures in store.url, and remove what is erased.

    Example: MASKWATCH_STORE__URL=file:///srv/maskwatch maskwatch dataset
    """
    call("maskwatch.lazy:run_stage", "dataset", "consumers.dataset:keep_labels", settings)


@data.command("labels", short_help="Bring folders in as labels of this installation.")
@click.argument("folders", nargs=-1, required=True, metavar="PATH...", type=click.Path(path_type=Path))
@click.option("--format", "form", type=click.Choice(("auto", *FORMATS)), default="auto", show_default=True)
@click.option("--classes", "pairs", multiple=True, metavar="OLD=NEW", help="What a name means; repeatable.")
@click.option("--by", default="import", show_default=True, help="Who labelled them.")
@click.option("--json", "as_json", is_flag=True, help="Name everything that was left out.")
@click.pass_obj
def data_labels(  # noqa: PLR0913  # a command line
    settings: Settings, folders: tuple[Path, ...], form: str, pairs: tuple[str, ...], by: str, *, as_json: bool
) -> None:
    """Read folders of labelled pictures, put the pictures into the store and their labels into labels.v1.

    Example: maskwatch data labels photographs/ --classes face=without_mask

    A picture that was read before is not counted twice. See docs/labels.md.
    """
    call("training.datasets.labelled:command", settings, folders, form, pairs, by, as_json=as_json)
