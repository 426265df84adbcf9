"""``python -m training``: from annotated photographs to a model that workers serve, in one resumable command.

Manifest, training on the photographs, a second training with drawn people beside them (so that the demo scene is
understood too), export, evaluation of the exported files on the test part, and the model's card. A step whose result
is there is not done again.
"""

from pathlib import Path

import click

from training import card, catalogue, manifest
from training.errors import TrainingError
from training.recipe import Recipe

DRAWN_LEARNING_RATE = 0.0007
"""Lower than the first training's: photographs must not be unlearnt."""


@click.command(context_settings={"show_default": True})
@click.option("--photographs", "folders", multiple=True, required=True, type=click.Path(path_type=Path, exists=True))
@click.option("--drawn", type=click.Path(path_type=Path, exists=True), help="Drawn people, see «maskwatch scene draw».")
@click.option("--weights", required=True, type=click.Path(path_type=Path, exists=True), help="Where training starts.")
@click.option("--golden", required=True, type=click.Path(path_type=Path, exists=True), help="A JPEG with faces.")
@click.option("--work", default=Path("build/train"), type=click.Path(path_type=Path), help="Checkpoints and manifest.")
@click.option("--out", default=Path("data/models/default"), type=click.Path(path_type=Path), help="The model's folder.")
@click.option("--name", default="yolov8n-facemask")
@click.option("--version", default="1")
@click.option("--epochs", default=6, help="Epochs on the photographs.")
@click.option("--drawn-epochs", default=6, help="Epochs with drawn people beside them.")
@click.option("--image-size", default=416)
def main(  # noqa: PLR0913  # a command line
    *,
    folders: tuple[Path, ...],
    drawn: Path | None,
    weights: Path,
    golden: Path,
    work: Path,
    out: Path,
    name: str,
    version: str,
    epochs: int,
    drawn_epochs: int,
    image_size: int,
) -> None:
    """Train, export and judge a model."""
    from training import evaluate, export, train  # noqa: PLC0415  # torch takes seconds that --help should not

    try:
        photographs, refused = [], []
        for folder in folders:
            read, left_out = catalogue.read_voc(folder)
            photographs += read
            refused += left_out
        for refusal in refused:
            click.echo(f"left out: {refusal.path.name}: {refusal.reason}", err=True)
        first = manifest.build(photographs)
        manifest.save(first, work / "manifest.json")
        recipes = {"photographs": Recipe(weights, epochs, image_size)}
        best = train.train(first, recipes["photographs"], work / "photographs")
        whole = first
        if drawn is not None:
            pictures, _ = catalogue.read_voc(drawn)
            whole = manifest.build([*photographs, *pictures], train_only=frozenset({drawn.name}))
            manifest.save(whole, work / "manifest-with-drawn.json")
            again = Recipe(best, drawn_epochs, image_size, learning_rate=DRAWN_LEARNING_RATE)
            recipes["photographs and drawn people"] = again
            best = train.train(whole, again, work / "with-drawn")
        calibration = [entry for entry in whole.part("train") if drawn is None or entry.source != drawn.name]
        export.export(best, calibration, golden, out, name=name, version=version)
        rows = {
            f"{source}, {shape}, {precision}": evaluate.evaluate(
                out, [entry for entry in whole.part("test") if entry.source == source], shape, precision
            )
            for source in sorted({entry.source for entry in whole.part("test")})
            for shape in export.SHAPES
            for precision in ("fp32", "int8")
        }
        evaluate.save(rows, out / "figures.json")
        (out / "card.md").write_text(card.write(name, version, whole, recipes, evaluate.table(rows)))
        click.echo(evaluate.table(rows))
    except TrainingError as error:
        raise click.ClickException(str(error)) from error


if __name__ == "__main__":
    main()
