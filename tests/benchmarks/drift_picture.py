"""How soon each change is noticed, as a picture for the docs.

``maskwatch drift evaluate visit.mcap --json > found.json``, then
``python -m tests.benchmarks.drift_picture found.json docs/images/drift.png``.
"""

import json
from collections import defaultdict
from pathlib import Path

import click
import numpy as np

SHADES = ("#9ecfca", "#3f9e96", "#0b5c56")
"""By strength."""

MISSED = "#d9532c"
TARGET = 100
"""Samples within which an abrupt, strong change is to be noticed."""


@click.command()
@click.argument("found", type=click.Path(path_type=Path, exists=True))
@click.argument("picture", type=click.Path(path_type=Path))
def draw(found: Path, picture: Path) -> None:
    """Draw every run of every change: how many samples went by until it was an episode."""
    from matplotlib import pyplot as plt  # noqa: PLC0415  # slow to import, and only needed here

    delays: dict[str, dict[int, list[int | None]]] = defaultdict(dict)
    for _, change, strength, runs in json.loads(found.read_bytes())["noticed"]:
        delays[change][strength] = [samples for samples, *_ in runs]
    figure, axes = plt.subplots(figsize=(9, 5.2))
    for row, change in enumerate(sorted(delays, reverse=True)):
        for strength, runs in delays[change].items():
            height = row + (2 - strength) * 0.26
            there = [samples for samples in runs if samples is not None]
            jitter = np.random.default_rng(1).uniform(-0.07, 0.07, len(there))
            axes.scatter(there, height + jitter, s=14, color=SHADES[strength - 1], linewidths=0)
            if missed := len(runs) - len(there):
                axes.text(650, height, f"{missed} of {len(runs)} missed", color=MISSED, fontsize=7, va="center")
    axes.axvline(TARGET, color="#888888", linewidth=0.8, linestyle="--")
    axes.set_yticks(range(len(delays)), [change.replace("_", " ") for change in sorted(delays, reverse=True)])
    axes.set_xscale("log")
    axes.set_xlim(18, 1100)
    axes.set_xticks([20, 50, 100, 200, 600], ["20", "50", "100", "200", "600"])
    axes.set_xlabel("samples from the change to the episode (2 s each); a dot is a run")
    for strength, shade in enumerate(SHADES, 1):
        axes.scatter([], [], s=20, color=shade, label=f"strength {strength}")
    axes.legend(loc="lower right", frameon=False, fontsize=8)
    axes.spines[["top", "right"]].set_visible(False)
    figure.tight_layout()
    figure.savefig(picture, dpi=110)


if __name__ == "__main__":
    draw()
