"""Models in the store: put there by whoever exports them, fetched and checked by whoever serves them."""

import hashlib
import os
import re
import shutil
from collections.abc import Collection
from contextlib import suppress
from pathlib import Path

from maskwatch.errors import ModelError, StoreError
from maskwatch.files import write_whole
from maskwatch.model import FILE, ModelCard, check_file, read_card
from maskwatch.model_messages import PublishedModel
from maskwatch.precision import choose_precision
from maskwatch.settings import Settings
from maskwatch.store import Store

CHECKPOINT = "checkpoint.pt"
TOLD = ("figures.json", "provenance.json")
"""What people read of a model; no worker needs it."""
FOLDER = "models"
"""Below the data directory: models that were fetched, each in a folder that is named by its SHA-256."""
USED_S = 86_400.0
"""A model that was asked for so lately may be at work for somebody else of this machine."""

_NAMED = re.compile(r"[0-9a-f]{64}")


def publish(folder: Path, store: Store) -> PublishedModel:
    """Put an exported model into the store; ``model.json`` comes last, so that what can be found is whole.

    Raises
    ------
    ModelError
        If the folder is no model, or a file is missing or was altered.
    StoreError
        If the store does not take it.
    """
    card, model = read_card(folder), named(folder)
    files = _files(card, tuple(card.files))
    for name, digest in files.items():
        store.write_model(model.sha256, name, check_file(folder, name, digest).read_bytes())
    # What a training goes on from and what people read; no worker needs it.
    for path in sorted(folder.iterdir()):
        if path.is_file() and path.name not in files and path.name != FILE:
            store.write_model(model.sha256, path.name, path.read_bytes())
    store.write_model(model.sha256, FILE, (folder / FILE).read_bytes())
    return model


def named(folder: Path) -> PublishedModel:
    """Return what an exported model is called in the store.

    Raises
    ------
    ModelError
        If the folder is no model.
    """
    card = read_card(folder)
    return PublishedModel(card.name, card.version, hashlib.sha256((folder / FILE).read_bytes()).hexdigest())


def fetch(model: PublishedModel, store: Store, settings: Settings) -> Path:
    """Fetch what this machine needs of a model: the file of its precision, and the golden picture. Blocks.

    Returns
    -------
    Path
        The model's folder; every file in it was checked.

    Raises
    ------
    ModelError
        If a file in the store is not what it should be, or the model lacks the precision that is wished for.
    StoreError
        If the store does not answer, a file is not there, or it cannot be kept on this machine.
    """
    folder = settings.data_dir / FOLDER / model.sha256
    try:
        folder.mkdir(parents=True, exist_ok=True)
        _have(folder, FILE, model.sha256, model, store)
        card = read_card(folder)
        precision = choose_precision(settings.detector, set(card.files))
        for name, digest in _files(card, (precision,)).items():
            _have(folder, name, digest, model, store)
    except OSError as error:
        raise StoreError(
            f"{model.name} {model.version} cannot be kept in {folder} ({error.strerror}): is the disk full, or "
            "may nothing be written there?"
        ) from error
    # Where nothing may be written what is there already serves all the same.
    with suppress(OSError):
        os.utime(folder)
    return folder


def forget(keep: Collection[str], settings: Settings, now: float) -> list[str]:
    """Remove models that were fetched and are of no use any more. Blocks.

    Parameters
    ----------
    keep
        SHA-256 of those that stay.
    settings
        Name the folder.
    now
        Seconds since the epoch.

    Returns
    -------
    list of str
        Those that were removed. One that was asked for within a day stays: others of this machine may be at it, such
        as a training that judges it.

    Raises
    ------
    OSError
        If that cannot be told or done.
    """
    own = settings.detector.model.absolute()
    gone = []
    for folder in sorted((settings.data_dir / FOLDER).glob("*")):
        # What a person has put there is none of ours; what serves by a setting is used whatever it is called.
        ours = _NAMED.fullmatch(folder.name) and folder.name not in keep and folder.absolute() != own
        if ours and now - folder.stat().st_mtime > USED_S:
            shutil.rmtree(folder)
            gone.append(folder.name)
    return gone


def fetch_all(model: PublishedModel, store: Store, folder: Path) -> Path:
    """Fetch every file that a model's ``model.json`` names, and what is told of it, into a folder. Blocks.

    Raises
    ------
    ModelError
        If a file is not what it should be.
    StoreError
        If the store does not answer, or a file is not there.
    """
    (folder / FILE).write_bytes(store.read_model(model.sha256, FILE))
    card = read_card(folder)
    for name, digest in _files(card, tuple(card.files)).items():
        (folder / name).write_bytes(store.read_model(model.sha256, name))
        check_file(folder, name, digest)
    for name in TOLD:
        # Not every model came with them.
        with suppress(StoreError):
            (folder / name).write_bytes(store.read_model(model.sha256, name))
    return folder


def fetch_checkpoint(model: PublishedModel, store: Store, settings: Settings) -> Path:
    """Fetch what a training goes on from, beside what serves. Blocks.

    Raises
    ------
    StoreError
        If the store does not answer, or the model came without a checkpoint.
    """
    path = settings.data_dir / FOLDER / model.sha256 / CHECKPOINT
    if not path.exists():
        write_whole(path, store.read_model(model.sha256, CHECKPOINT))
    return path


def _have(folder: Path, name: str, digest: str, model: PublishedModel, store: Store) -> None:
    """See that a file is here and whole; one that is missing, or broken by a machine that lost power, is fetched."""
    path = folder / name
    if path.is_file() and hashlib.sha256(path.read_bytes()).hexdigest() == digest:
        return
    data = store.read_model(model.sha256, name)
    if hashlib.sha256(data).hexdigest() != digest:
        raise ModelError(f"{model.name} {model.version} was altered in the store: its {name} is another")
    write_whole(path, data)


def _files(card: ModelCard, precisions: tuple[str, ...]) -> dict[str, str]:
    files = {card.golden.path: card.golden.sha256}
    for precision, file in card.files.items():
        if precision in precisions:
            files |= {file.path: file.sha256, **file.beside}
    return files
