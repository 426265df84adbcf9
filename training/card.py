"""Write a model's card: what it is, what it was made of, how well it does, and where it does not."""

from collections import Counter
from pathlib import Path

from maskwatch.messages import CLASSES
from training.manifest import PARTS, Manifest
from training.recipe import Recipe


def write(name: str, version: str, manifest: Manifest, recipes: dict[str, Recipe], figures: str) -> str:
    """Write the card as Markdown.

    Parameters
    ----------
    name, version
        What detections say.
    manifest
        The data.
    recipes
        The trainings that led to it, by what they were trained on, in order.
    figures
        A table of :func:`training.evaluate.table`.
    """
    pictures = Counter((entry.source, entry.part) for entry in manifest.entries)
    faces: Counter[tuple[str, str]] = Counter(
        (face.label, entry.part) for entry in manifest.entries for face in entry.faces
    )
    sources = sorted({entry.source for entry in manifest.entries})
    steps = "\n".join(
        f"{number}. on {what}: from `{Path(recipe.weights).name}`, {recipe.epochs} epochs at {recipe.image_size} px, "
        f"batch {recipe.batch}, AdamW, learning rate {recipe.learning_rate:g} with cosine decay, seed {recipe.seed}"
        for number, (what, recipe) in enumerate(recipes.items(), 1)
    )
    return f"""# {name}, version {version}

A YOLOv8n that finds faces and tells {", ".join(f"`{label}`" for label in CLASSES)}. It takes RGB bytes and gives faces;
suppression of overlapping boxes is inside the graph, and a face is reported once.

## Figures

Of the exported files, in the serving runtime, on the test part, which was not trained on. COCO's average precision
(pycocotools); "wide" is the cameras' input (640x384), "square" the uploads' (640x640).

{figures}

## Data

{_table("source", [(source, *(pictures[source, part] for part in PARTS)) for source in sources])}

{_table("faces", [(label, *(faces[label, part] for part in PARTS)) for label in CLASSES])}

Split 80/10/10 by hash of the near-duplicate group (perceptual hash, 6 of 64 bits), so that look-alikes are on one side.
Drawn people come from the demo scene (`maskwatch scene draw`) and are in train only: no figure above is about them.
Manifest SHA-256 `{manifest.sha256}`.

- `facemask-voc`: the public "Face Mask Detection" set, published as CC0 1.0.
- `portraits`: photographs of one person each; published as "CC0: Public Domain" by those who published them (unproven),
  and 150 official portraits in the public domain. Their boxes were made by a face detector.

## Training

{steps}

The first start, `yolov8n_coco_dequantised.pt`, is COCO weights recovered from a public INT8 file, not the official
checkpoint (AGPL-3.0). The commands are in `docs/training.md`.

## Limits

- Faces under about 12 px of the model's input are missed; so are many in profile.
- `mask_weared_incorrect` is the rarest class and the one most often confused.
- A face that fills the square input (over about 400 of its pixels) is less sure than a smaller one.
- The same person may appear in train and test of `portraits`, so its figures flatter.
- Portraits' boxes are softer than facemask-voc's, so their mAP50-95 is worth less than their mAP50.
- It says where masks are, not who wears them. It is no medical device and no proof of anything about a person.

## Licence

AGPL-3.0-or-later, as its start weights and Ultralytics ask.
"""


def _table(head: str, rows: list[tuple[object, ...]]) -> str:
    lines = [f"| {head} | " + " | ".join(PARTS) + " |", "|---" * (1 + len(PARTS)) + "|"]
    return "\n".join([*lines, *("| " + " | ".join(str(cell) for cell in row) + " |" for row in rows)])
