"""Call a function by its name, so that a command imports what it needs and nothing else."""

from importlib import import_module
from typing import Any

from maskwatch.settings import Settings


def call(target: str, *arguments: Any, **options: Any) -> Any:  # noqa: ANN401  # whatever the target takes and gives
    """Import ``module:function`` and call it."""
    module, _, name = target.partition(":")
    function = getattr(import_module(module), name)
    return function(*arguments, **options)


def run_stage(name: str, target: str, settings: Settings) -> None:
    """Run a stage, named as ``module:function``, until a signal."""
    module, _, function = target.partition(":")
    call("maskwatch.worker:run", name, getattr(import_module(module), function), settings)
