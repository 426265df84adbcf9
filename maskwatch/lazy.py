"""Call a function by its name, so that a command imports what it needs and nothing else."""

from importlib import import_module
from typing import Any


def call(target: str, *arguments: Any, **options: Any) -> Any:  # noqa: ANN401  # whatever the target takes and gives
    """Import ``module:function`` and call it."""
    module, _, name = target.partition(":")
    function = getattr(import_module(module), name)
    return function(*arguments, **options)
