"""``maskwatch models mirror``: MLflow's aliases say what ``models.v1`` says, for people who look there.

``models.v1`` is the truth, and this writes it down elsewhere: done again it changes nothing, and what was missed while
MLflow was away is made up for by the next time.
"""

import asyncio
import tempfile
from pathlib import Path

import click

from maskwatch.model_messages import Champion, PublishedModel
from maskwatch.promoting import champion_of
from maskwatch.published import fetch_all
from maskwatch.settings import Settings
from maskwatch.store import Store
from training.artefact.exported import read_exported
from training.registry import Registry


def command(settings: Settings) -> None:
    """Mirror, and print what the aliases name now.

    Raises
    ------
    MaskwatchError
        If Kafka, the store or MLflow does not answer, or MLflow is not installed.
    """
    champion = asyncio.run(champion_of(settings))
    for alias, said in mirror(settings, champion).items():
        click.echo(f"{alias}: {said}")


def mirror(settings: Settings, champion: Champion | None) -> dict[str, str]:
    """Let the aliases name a champion and the one before it.

    Parameters
    ----------
    settings
        Which MLflow, and where models are kept.
    champion
        As ``models.v1`` says; before the first promotion each worker's own model serves.

    Returns
    -------
    dict
        What each alias names now, for people.

    Raises
    ------
    MaskwatchError
        If the store or MLflow does not answer.
    """
    registry = Registry(settings)
    # The one before first: killed in between, no version is left without a name that it had.
    wanted = {
        "previous": _version(registry, champion.previous, settings) if champion is not None else None,
        "champion": _version(registry, champion.model if champion is not None else None, settings),
    }
    registry.set_aliases(wanted)
    return {alias: f"version {number}" if number else "none" for alias, number in wanted.items()}


def _version(registry: Registry, model: PublishedModel | None, settings: Settings) -> str:
    """Return the number of a model's version, which is registered if it is not yet."""
    if model is None:
        return registry.register(read_exported(settings.detector.model)).number
    known = next((version for version in registry.versions() if version.sha256 == model.sha256), None)
    if known is not None:
        return known.number
    with tempfile.TemporaryDirectory() as scratch:
        folder = fetch_all(model, Store(settings), Path(scratch))
        return registry.register(read_exported(folder)).number
