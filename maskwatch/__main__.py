"""``python -m maskwatch`` is the command line."""

from maskwatch.cli import run

run()
