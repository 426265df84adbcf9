"""A training that asks itself to stop, twice, and then goes on to its end; a process of its own takes the signals."""

import os
import signal
import sys
from pathlib import Path

from training.datasets import manifest
from training.errors import StageOverError
from training.recipe import Recipe
from training.train import Told, train


def main() -> None:
    """Train what the first argument holds into the second, and print how often it was stopped."""
    place, out = (Path(argument) for argument in sys.argv[1:])

    def ask(*, now: bool) -> None:
        if now:
            os.kill(os.getpid(), signal.SIGTERM)

    data = manifest.load(place / "manifest.json")
    recipe = Recipe(weights=place / "start.pt", epochs=2, image_size=64, batch=8)
    after_the_first = Told(step=lambda now: ask(now=now.epoch == now.share == 1))
    # Then the best one is judged once more, and all else is done.
    after_the_last = Told(epoch=lambda done: ask(now=done.epoch == done.epochs))
    stopped = 0
    for told in (after_the_first, after_the_last):
        try:
            train(data, recipe, out, told=told)
        except StageOverError as error:
            stopped += "asked to stop" in str(error) and not (out / "done").exists()
    train(data, recipe, out)
    print(f"stopped {stopped} times")  # noqa: T201  # that is the answer


if __name__ == "__main__":
    main()
