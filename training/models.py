"""``maskwatch models``: the models there are, in folders and in MLflow's registry, and how they compare.

Models in folders are told without MLflow, which serving does not need.
"""

import json
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

import click
import msgspec

from maskwatch.errors import MaskwatchError, ModelError
from maskwatch.lazy import call
from maskwatch.model import FILE, identity
from maskwatch.settings import MODELS, Settings
from training.artefact.exported import FIGURES, figures_of, read_exported
from training.errors import TrackingError
from training.journal import Begun, read

if TYPE_CHECKING:
    from training.kept import Pair
    from training.registry import Registry, Version

_LISTED_SET = ("facemask-voc", "wide", "int8")
_HEADINGS = ("which", "model", "aliases", "made", "manifest", "mAP50")


class Model(msgspec.Struct, frozen=True):
    """One model, wherever it is."""

    which: str
    """By what it is shown and compared: a folder's name, or the number of a version."""
    name: str
    version: str
    aliases: tuple[str, ...]
    """``configured`` for the one that ``detector.model`` names; a running stack may serve another."""
    made: datetime
    manifest: str
    """SHA-256 of the manifest; empty if that is not known."""
    sha256: str
    """Of its ``model.json``."""
    figures: dict[str, str]
    """mAP50 of each set, with its interval where there is one."""
    files: dict[str, str]
    """SHA-256 of each file."""
    where: str


def show_list(settings: Settings, *, as_json: bool) -> None:
    """Print every model: those in folders, then the registered ones, newest first."""
    models = [*_in_folders(settings), *_registered(settings)]
    if as_json:
        click.echo(json.dumps(msgspec.to_builtins(models), indent=2))
        return
    cells = [_HEADINGS, *(_row(model) for model in models)]
    widths = [max(map(len, column)) for column in zip(*cells, strict=True)]
    for line, row in enumerate(cells):
        text = "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip()
        click.echo(text if line else click.style(text, dim=True))


def show(settings: Settings, which: str, *, as_json: bool) -> None:
    """Print all that is known of one model.

    Raises
    ------
    MaskwatchError
        If there is none, or it cannot be read.
    """
    model = _find(settings, which)
    if as_json:
        click.echo(json.dumps(msgspec.to_builtins(model), indent=2))
        return
    click.echo(f"{model.name} {model.version}  {', '.join(model.aliases)}".rstrip())
    for title, value in (
        ("made", f"{model.made:%Y-%m-%d %H:%M} UTC"),
        ("lies in", model.where),
        ("manifest", model.manifest or "not known"),
        ("sha256", model.sha256),
    ):
        click.echo(f"  {title:<9} {value}")
    for title, rows in (("mAP50", model.figures), ("files", model.files)):
        click.echo(click.style(title, dim=True))
        width = max(map(len, rows), default=0)
        for name, value in rows.items():
            click.echo(f"  {name:<{width}}  {value}")


def compare(  # noqa: PLR0913  # a command line
    settings: Settings, first: str, second: str, *, manifest: Path | None, kept: Path, as_json: bool
) -> None:
    """Print the figures of two models side by side, and what the first has more.

    Parameters
    ----------
    settings
        Which MLflow.
    first, second
        Versions, aliases or folders.
    manifest
        With it, the two are held against each other by paired bootstrap instead, on pictures that both have answered.
    kept
        Where those answers are.
    as_json
        Print JSON, for scripts.

    Raises
    ------
    MaskwatchError
        If one of them is missing, or they were not judged on one common set.
    """
    models = [_find(settings, which) for which in (first, second)]
    if manifest is not None:
        mine_files, other_files = (list(_identities(model.files)) for model in models)
        _print_pairs(call("training.kept:compare_kept", manifest, kept, mine_files, other_files), as_json=as_json)
        return
    mine, other = (_figures(settings, model) for model in models)
    rows = [(name, mine[name], other[name], mine[name] - other[name]) for name in mine if name in other]
    if not rows:
        raise TrackingError(
            f"{first} and {second} have no figure in common; judge both: maskwatch evaluate MODEL --manifest MANIFEST"
        )
    if as_json:
        keys = ("figure", "first", "second", "difference")
        click.echo(json.dumps([dict(zip(keys, row, strict=True)) for row in rows], indent=2))
        return
    width = max(len(name) for name, *_ in rows)
    titles = [f"{model.name} {model.version}" for model in models]
    columns = [max(8, len(title)) for title in titles]
    click.echo(
        click.style(f"{'':<{width}}  {titles[0]:>{columns[0]}}  {titles[1]:>{columns[1]}}  difference", dim=True)
    )
    for name, one, two, difference in rows:
        click.echo(f"{name:<{width}}  {one:>{columns[0]}.3f}  {two:>{columns[1]}.3f}  {difference:>+10.3f}")
    click.echo("whether a difference is more than chance: add --manifest", err=True)


def register(settings: Settings, folder: Path, training: Path | None, *, champion: bool) -> None:
    """Register an exported model, and print its version.

    Raises
    ------
    MaskwatchError
        If the folder is no model, or MLflow is missing or away.
    """
    model = read_exported(folder)
    begun = next(read(training), None) if training else None
    if training and not isinstance(begun, Begun):
        raise TrackingError(f"no training was tracked in {training}; leave --training out")
    registry = _registry(settings)
    version = registry.register(model, begun if isinstance(begun, Begun) else None)
    if champion:
        registry.promote(version.number)
        version = registry.version(version.number)
    aliases = f" ({', '.join(version.aliases)})" if version.aliases else ""
    click.echo(f"version {version.number}{aliases}: {version.name} {version.version}, {len(version.files)} files")


def _print_pairs(pairs: "list[Pair]", *, as_json: bool) -> None:
    if as_json:
        click.echo(json.dumps(msgspec.to_builtins(pairs), indent=2))
        return
    for pair in pairs:
        click.echo(click.style(f"{pair.title}, {pair.pictures} pictures", dim=True))
        for name, found in pair.differences.items():
            gain = f"{found.gain.value:+.3f} ({found.gain.low:+.3f} to {found.gain.high:+.3f})"
            click.echo(f"  {name:<26} {found.first:.3f}  {found.second:.3f}  {gain}  P(better) {found.p_better:.3f}")


def _in_folders(settings: Settings) -> Iterator[Model]:
    folders = sorted({path.parent for path in MODELS.glob(f"*/{FILE}")} | {settings.detector.model})
    for folder in folders:
        try:
            yield _in_folder(settings, folder)
        except ModelError as error:
            click.echo(f"maskwatch: {error}", err=True)


def _in_folder(settings: Settings, folder: Path) -> Model:
    exported = read_exported(folder)
    configured = folder.resolve() == settings.detector.model.resolve()
    return Model(
        which=folder.name if folder.parent == MODELS else str(folder),
        name=exported.card.name,
        version=exported.card.version,
        aliases=("configured",) if configured else (),
        made=datetime.fromtimestamp(exported.made_ms / 1000, UTC),
        manifest=exported.manifest,
        sha256=exported.sha256,
        figures=exported.headline,
        files=exported.files,
        where=str(folder),
    )


def _registered(settings: Settings) -> Iterator[Model]:
    uri = settings.mlflow_uri
    # To look for versions must not make a database.
    if uri.startswith("sqlite:///") and not Path(uri.removeprefix("sqlite:///")).exists():
        return
    try:
        yield from (_of_version(version) for version in _registry(settings).versions())
    except MaskwatchError as error:
        click.echo(f"maskwatch: {error}", err=True)


def _of_version(version: "Version") -> Model:
    return Model(
        which=version.number,
        name=version.name,
        version=version.version,
        aliases=version.aliases,
        made=version.registered,
        manifest=version.manifest,
        sha256=version.sha256,
        figures=version.figures,
        files=version.files,
        where=version.source,
    )


def _find(settings: Settings, which: str) -> Model:
    folder = _folder(which)
    return _in_folder(settings, folder) if folder else _of_version(_registry(settings).version(which))


def _folder(which: str) -> Path | None:
    return next((path for path in (MODELS / which, Path(which)) if (path / FILE).exists()), None)


def _figures(settings: Settings, model: Model) -> dict[str, float]:
    """Return a model's figures that mean something beside another's: average precisions, by set."""
    folder = _folder(model.which)
    if folder:
        return figures_of(folder / FIGURES)
    if FIGURES not in model.files:
        return {}
    registry = _registry(settings)
    with tempfile.TemporaryDirectory() as here:
        return figures_of(registry.fetch(registry.version(model.which), FIGURES, Path(here)))


def _registry(settings: Settings) -> "Registry":
    registry: Registry = call("training.registry:Registry", settings)
    return registry


def _row(model: Model) -> Sequence[str]:
    # One set's: of cameras, in the precision that serves, on the photographs that others publish figures on.
    chosen = min(model.figures, default="", key=lambda title: sum(word not in title for word in _LISTED_SET))
    return (
        model.which,
        f"{model.name} {model.version}",
        ", ".join(model.aliases) or "-",
        f"{model.made:%Y-%m-%d %H:%M}",
        model.manifest[:12] or "-",
        f"{model.figures.get(chosen, '-')}  {chosen}".rstrip(),
    )


def _identities(files: Mapping[str, str]) -> Iterator[str]:
    """Yield by what answers name each of a model's files: OpenVINO's graph and weights are one."""
    for path, sha256 in files.items():
        weights = files.get(f"{path.removesuffix('.xml')}.bin") if path.endswith(".xml") else None
        yield identity(sha256, [weights] if weights else [])
