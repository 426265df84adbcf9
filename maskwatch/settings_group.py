"""What every group of settings is, and how a variable of it is written."""

import json
import os
from collections.abc import Iterator
from typing import get_origin

from pydantic import BaseModel, ConfigDict


class Group(BaseModel):
    """A frozen group; unknown keys are told of by whoever reads the file."""

    model_config = ConfigDict(frozen=True, extra="ignore")


def not_json(tree: type[BaseModel], begin: str) -> Iterator[str]:
    """Yield the variables that should be JSON and are not: those of lists, and of a group as a whole.

    Parameters
    ----------
    tree
        Settings, or a group of them.
    begin
        What the names of its variables begin with.
    """
    for name, field in tree.model_fields.items():
        variable, kind = f"{begin}{name.upper()}", field.annotation
        if isinstance(kind, type) and issubclass(kind, BaseModel):
            yield from not_json(kind, f"{variable}__")
        elif get_origin(kind) is not tuple:
            continue
        if not _is_json(os.environ.get(variable, "")):
            yield variable


def _is_json(value: str) -> bool:
    try:
        json.loads(value or "null")
    except ValueError:
        return False
    return True
