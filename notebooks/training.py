# %% [markdown]
# # How the model was trained, and how well it does
#
# The data, the curves of the trainings, the evaluation of the exported model, and the pictures on which it went worst.
# `make notebook` writes this page anew from `notebooks/training.py` and runs it. It reads what `make pipeline` left
# (`params.yaml` says where). Where there is nothing, it draws people of the demo scene, trains for two epochs, and
# judges the shipped model on them: then everything below is real, and small. No photograph is shown: people are on
# them.

# %%
import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np
import yaml

from maskwatch.messages import CLASSES
from maskwatch.settings import PROJECT
from training.datasets import manifest
from training.datasets.split import PARTS
from training.evaluation import answers, report
from training.evaluation.sightings import MISSED, confusion, mistakes, sightings
from training.evaluation.views import plain
from training.journal import Begun, Metrics, Parameters, read

os.chdir(PROJECT)
parameters = yaml.safe_load(Path(os.environ.get("MASKWATCH_NOTEBOOK_PARAMETERS", "params.yaml")).read_text())
folder = Path(parameters["folder"])
trainings = [Path(training["folder"]) for training in parameters["trainings"].values()]
drawn = not (folder / "evaluation/report.json").exists()


def maskwatch(*arguments: str | Path) -> None:
    """Give a command as a person would; what it says is shown if it fails."""
    done = subprocess.run(
        [sys.executable, "-m", "maskwatch", *map(str, arguments)], capture_output=True, text=True, check=False
    )
    if done.returncode:
        raise RuntimeError(done.stdout + done.stderr)


if drawn:
    from ultralytics import YOLO

    folder = Path(tempfile.mkdtemp())
    trainings = [folder / "two-epochs"]
    os.environ["MASKWATCH_DATA_DIR"] = str(folder / "state")
    maskwatch("scene", "draw", folder / "people", "--count", "30")
    maskwatch("data", "import", folder / "people", "--out", folder / "catalogue.json")
    maskwatch("data", "split", folder / "catalogue.json", "--out", folder / "manifest.json")
    YOLO("yolov8n.yaml").save(folder / "start.pt")
    short = ["--epochs", "2", "--imgsz", "32", "--batch", "8", "--model", folder / "start.pt"]
    maskwatch("train", "--manifest", folder / "manifest.json", *short, "--out", trainings[0])
    quick = ["--shape", "wide", "--no-speed", "--no-pictures", "--out", folder / "evaluation"]
    maskwatch("evaluate", "default", "--manifest", folder / "manifest.json", *quick)

data = manifest.load(folder / "manifest.json")
found = report.load(folder / "evaluation/report.json")
print("drawn people, two epochs" if drawn else "what «make pipeline» left")
print(f"manifest {data.sha256[:12]}: {len(data.entries)} pictures of {', '.join(data.sources)}")
print(f"model {found.name} {found.version}, judged on the part «{found.part}»")


def show(head: list[str], rows: list[list[object]]) -> None:
    """Print a table."""
    cells = [head, *([f"{cell:.3f}" if isinstance(cell, float) else str(cell) for cell in row] for row in rows)]
    widths = [max(map(len, column)) for column in zip(*cells, strict=True)]
    for row in cells:
        print("  ".join(cell.rjust(width) for cell, width in zip(row, widths, strict=True)))


# %% [markdown]
# ## The data
#
# Pictures and faces of each source and part. Look-alikes are on one side of the split.

# %%
parts = [part for part in PARTS if data.part(part)]
show(
    ["pictures", *parts],
    [[source, *(sum(e.source == source for e in data.part(part)) for part in parts)] for source in data.sources],
)
print()
show(
    ["faces", *parts],
    [
        [label, *(sum(face.label == label for e in data.part(part) for face in e.faces) for part in parts)]
        for label in CLASSES
    ],
)

# %%
figure, axes = plt.subplots(figsize=(8, 3))
for source in data.sources:
    sides = [
        ((x2 - x1) * entry.width * (y2 - y1) * entry.height) ** 0.5
        for entry in data.entries
        if entry.source == source
        for x1, y1, x2, y2 in [face.box for face in entry.faces]
    ]
    axes.hist(sides, bins=np.geomspace(4, 1000, 40).tolist(), histtype="step", label=source, density=True)
axes.set_xscale("log")
axes.set_xlabel("side of a face in pixels of the picture")
axes.set_yticks([])
axes.legend()
plt.show()

# %% [markdown]
# ## The trainings
#
# From their journals: losses on train, and mAP of the checkpoint on val by Ultralytics' own count.

# %%
for training in trainings:
    if not (training / "tracking").exists():
        print(f"{training.name} was not tracked")
        continue
    events = list(read(training))
    told = {name: value for event in events if isinstance(event, Parameters) for name, value in event.values.items()}
    name = next(event.name for event in events if isinstance(event, Begun))
    start = Path(str(told.get("weights"))).name  # where it lay is this machine's affair
    chosen = {"weights": start} | {
        key: told.get(key) for key in ("epochs", "image_size", "batch", "learning_rate", "seed")
    }
    print(f"{name}: {json.dumps(chosen)}")
    epochs = [event for event in events if isinstance(event, Metrics)]
    figure, (left, right) = plt.subplots(1, 2, figsize=(10, 3))
    for axes, wanted in ((left, "loss/"), (right, "val/")):
        for key in sorted({key for event in epochs for key in event.values if key.startswith(wanted)}):
            points = [(event.step, event.values[key]) for event in epochs if event.values.get(key) is not None]
            axes.plot(*zip(*points, strict=True), label=key, marker="." if len(points) < 5 else "")
        axes.set_xlabel("epoch")
        axes.legend()
    figure.suptitle(name)
    plt.show()

# %% [markdown]
# ## The evaluation
#
# Of the exported files, in the serving runtime. In brackets: the 95 % interval over resamples of the pictures.

# %%
show(
    ["set", "pictures", "faces", "mAP50", "mAP50-95", *(f"AP50 {label}" for label in CLASSES)],
    [
        [
            one.title,
            one.figures.pictures,
            one.figures.boxes,
            one.figures.map50,
            one.figures.map50_95,
            *(one.figures.classes[label].ap50 if label in one.figures.classes else "-" for label in CLASSES),
        ]
        for one in found.sets
    ],
)

# %%
figure, (left, right) = plt.subplots(1, 2, figsize=(10, 3.5))
last = found.sets[-1]
for one in found.sets:
    if (one.shape, one.precision) == (last.shape, last.precision):
        left.plot(
            [size.sizes for size in one.sizes_in_input],
            [size.found for size in one.sizes_in_input],
            "o-",
            label=one.source,
        )
left.set_xlabel("side of a face in pixels of the input")
left.set_ylabel("share that is found")
left.set_ylim(0, 1.05)
left.legend()
bins = [row for row in last.calibration.bins if row.mean_score is not None and row.right is not None]
right.plot([0, 1], [0, 1], color="grey", linewidth=1)
right.plot([row.mean_score for row in bins], [row.right for row in bins], "o-")
right.set_xlabel("score")
right.set_ylabel("share that is right")
figure.suptitle(f"{last.shape}, {last.precision}; calibration: {last.source}")
plt.show()

# %% [markdown]
# Pictures as bad cameras send them:

# %%
rows = [
    [view.view, view.source, view.figures.map50, view.gain if view.gain is not None else "-"]
    for view in found.robustness
    if view.source in {"all", *data.sources[:1]}
]
if rows:
    show(["view", "source", "mAP50", "gain over the same pictures as they are"], rows)
else:
    print("not judged: maskwatch evaluate … --robustness")

# %% [markdown]
# ## Where it went worst
#
# By the kept answers of the serving precision: which faces were missed or told wrongly, and which were none.

# %%
kept = [answers.load(file) for file in sorted((folder / "evaluation/answers").glob("*.json"))]
by_picture = {entry.sha256: entry for entry in data.part(found.part)}
asked = [
    one
    for one in kept
    if (one.view, one.shape, one.precision) == (plain().name, last.shape, last.precision)
    and one.model.sha256 == found.files[last.precision]
]
entries = [by_picture[picture] for one in asked for picture in one.pictures]
faces = [row for one in asked for row in one.faces]
seen = sightings(entries, faces, found.score)
counts = confusion(seen)
show(
    ["true, told", *CLASSES, "missed"],
    [[name, *map(int, row)] for name, row in zip((*CLASSES, "no face"), counts, strict=True)],
)

# %%
wrong = mistakes(seen, len(entries))
worst = np.argsort(-wrong, kind="stable")[:10]
show(
    ["picture (SHA-256)", "source", "faces", "smallest side, px", "missed", "wrong class", "no face"],
    [
        [
            entries[place].sha256[:12],
            entries[place].source,
            len(entries[place].faces),
            float(np.sqrt(seen.area[seen.picture == place].min(initial=np.inf))),
            int(((seen.picture == place) & (seen.seen == MISSED)).sum()),
            int(((seen.picture == place) & (seen.seen != MISSED) & (seen.seen != seen.label)).sum()),
            int((seen.false_picture == place).sum()),
        ]
        for place in worst
    ],
)

# %%
figure, axes = plt.subplots(figsize=(8, 3))
sides = np.sqrt(seen.area)
edges = np.geomspace(max(sides.min(), 1), sides.max() + 1, 15)
axes.hist(
    [sides[seen.seen != MISSED], sides[seen.seen == MISSED]],
    bins=edges.tolist(),
    stacked=True,
    label=["found", "missed"],
)
axes.set_xscale("log")
axes.set_xlabel("side of a face in pixels of the picture")
axes.set_ylabel("faces")
axes.legend()
plt.show()
half = int(np.searchsorted(np.cumsum(np.sort(wrong)[::-1]), wrong.sum() / 2)) + 1
print(f"{int((wrong > 0).sum())} of {len(entries)} pictures have a mistake; {half} of them have half of all mistakes")
