"""``maskwatch data``: annotated photographs in and out."""

from pathlib import Path

import click

from maskwatch.settings import Settings
from maskwatch.training_packages import call

FORMATS = ("voc", "yolo", "coco")
_FILE = click.Path(path_type=Path, dir_okay=False)


@click.group(short_help="Import, export or fetch annotated photographs.")
def data() -> None:
    """Read annotated photographs into a catalogue, write them out again, or fetch the base set."""


@data.command("import", short_help="Read folders into one catalogue.")
@click.argument("folders", nargs=-1, required=True, metavar="PATH...", type=click.Path(path_type=Path))
@click.option("--format", "form", type=click.Choice(("auto", *FORMATS)), default="auto", show_default=True)
@click.option("--classes", "pairs", multiple=True, metavar="OLD=NEW", help="What a name means; repeatable.")
@click.option("--class-table", type=_FILE, help="The same from a file, one OLD=NEW a line.")
@click.option("--out", type=_FILE, required=True, help="The catalogue, a JSON file.")
@click.option("--json", "as_json", is_flag=True, help="Name everything that was left out or put right.")
def data_import(  # noqa: PLR0913  # a command line
    folders: tuple[Path, ...], form: str, pairs: tuple[str, ...], class_table: Path | None, out: Path, *, as_json: bool
) -> None:
    """Read folders of Pascal VOC, YOLO or COCO, and say what was left out and why.

    Example: maskwatch data import photographs/ --classes face=without_mask --out catalogue.json

    Pictures stay where they are. See docs/datasets.md.
    """
    call("training.datasets.importing:command", folders, form, pairs, class_table, out, as_json=as_json)


@data.command("split", short_help="Make a version of the data set: what is trained on, what judges.")
@click.argument("catalogues", nargs=-1, required=True, metavar="CATALOGUE...", type=_FILE)
@click.option("--previous", type=_FILE, metavar="MANIFEST", help="Build upon this version; its test part is frozen.")
@click.option(
    "--train-only", multiple=True, metavar="SOURCE", help="Never judge by it, such as drawn people; repeatable."
)
@click.option("--labels", multiple=True, metavar="SOURCE", help="People's labels: a third is held out; repeatable.")
@click.option("--out", type=_FILE, required=True, help="The manifest, a JSON file.")
def data_split(
    catalogues: tuple[Path, ...],
    previous: Path | None,
    train_only: tuple[str, ...],
    labels: tuple[str, ...],
    out: Path,
) -> None:
    """Decide for every picture whether it is trained on, chooses the best epoch, or judges.

    Example: maskwatch data split catalogue.json --out manifest.json

    80, 10 and 10 % of every source and class; look-alikes stay on one side. See docs/datasets.md.
    """
    call("training.datasets.versions:command", catalogues, previous, frozenset(train_only), frozenset(labels), out)


@data.command("export", short_help="Write a catalogue or a manifest as a folder.")
@click.argument("file", metavar="CATALOGUE|MANIFEST", type=_FILE)
@click.option("--format", "form", type=click.Choice(FORMATS), required=True)
@click.option("--without", multiple=True, metavar="SOURCE", help="Leave this source out; repeatable.")
@click.option("--out", type=click.Path(path_type=Path, file_okay=False), required=True, help="A new folder.")
def data_export(file: Path, form: str, without: tuple[str, ...], out: Path) -> None:
    """Copy the pictures and write their boxes as Pascal VOC, YOLO or COCO; a manifest's parts become folders.

    Example: maskwatch data export catalogue.json --format yolo --out photographs-yolo/
    """
    call("training.datasets.exporting:command", file, form, frozenset(without), out)


@data.command("get", short_help="Fetch the base set from where it is published.")
@click.argument("name", type=click.Choice(("facemask-voc",)))
@click.option("--from", "place", metavar="FOLDER|URL", help="A folder or archive that you have, or another address.")
@click.option("--out", type=click.Path(path_type=Path, file_okay=False), help="Default: datasets/NAME beside the data.")
@click.option("--sha256", help="Refuse an archive that is another.")
@click.pass_obj
def data_get(settings: Settings, name: str, place: str | None, out: Path | None, sha256: str | None) -> None:
    """Fetch a public set of photographs, look whether it is whole, and unpack it.

    Example: maskwatch data get facemask-voc --from ~/Downloads/archive.zip
    """
    call("training.datasets.getting:command", name, place, out or settings.data_dir / "datasets" / name, sha256)
