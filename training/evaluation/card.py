"""Write a model's card: what it is, what it was made of, how well it does, and where it does not."""

from collections import Counter
from collections.abc import Mapping, Sequence

from maskwatch.messages import CLASSES
from training.artefact.export import Provenance
from training.datasets.manifest import Manifest
from training.evaluation.bootstrap import RESAMPLES
from training.evaluation.report import (
    EVERYTHING,
    Report,
    SetReport,
    class_table,
    comparison_table,
    footprint_table,
    precision_table,
    robustness_table,
    scale_table,
    table,
)

TERMS = {
    "facemask-voc": "the public «Face Mask Detection» set, published as CC0 1.0: no condition on the weights.",
    "facemask-hires": (
        "larger copies of photographs of facemask-voc, from the EDEN foundation, which states no licence. That the "
        "photographs were published as CC0 elsewhere is all that there is to rely on; whoever must be sure trains "
        "without this source."
    ),
    "portraits": (
        "photographs of one person each; 1,332 published as «CC0: Public Domain» by those who published them, which "
        "nobody has proven, and 150 official portraits in the public domain. Their boxes were made by a face "
        "detector. Whoever must be sure trains without this source."
    ),
    "drawn": "people drawn by the demo scene (`maskwatch scene draw`): part of this project, under its licence.",
}
"""What the terms of the sources that we know mean for the weights."""
_UNKNOWN = "its terms are not known to this project: ask whoever gave it to you before you pass the weights on."
_ALWAYS = (
    "The same person may appear on both sides of the split of `portraits`, so its figures flatter.",
    "Boxes of `portraits` are softer than those of `facemask-voc`: its mAP50-95 is worth less than its mAP50.",
    (
        "Pictures of `facemask-hires` have twins in `facemask-voc`: together they are fewer pictures than they seem, "
        "and the intervals of «all» are narrower than they should be."
    ),
    "All of it was measured on photographs that people chose to take and to publish; cameras see other things.",
    "It says where masks are, not who wears them. It is no medical device and no proof of anything about a person.",
)
"""Limits that no table shows."""
_PARTS = ("train", "val", "test", "holdout", "left out")


def write(manifest: Manifest, report: Report, provenance: Provenance | None) -> str:
    """Write the card as Markdown.

    Parameters
    ----------
    manifest
        The data that it was trained on and judged by.
    report
        Of :func:`training.evaluation.evaluate.evaluate`.
    provenance
        How it was trained and exported; None where that was not kept.
    """
    architecture = f"A {provenance.architecture}" if provenance and provenance.architecture else "A detector"
    sections = {
        "Figures": _figures(report),
        "What less precision costs": comparison_table(report.precisions),
        "Against another model": comparison_table(report.against),
        "Speed and memory": _under(
            "One picture after the other, decoding included, all cores of the machine that judged.",
            footprint_table(report.footprints),
        ),
        "Pictures as bad cameras send them": _under(
            "The same pictures, changed in three strengths (`maskwatch/degradation.py`), and turned. The difference is "
            "that of mAP50 to the pictures as they are.",
            robustness_table(report.robustness),
        ),
        "Faces from tiny to filling the frame": _under(
            "The same pictures on a canvas of 1280x720, scaled so that the largest face of each is that large. "
            "Pictures that would have to be enlarged more than four times are left out.",
            scale_table(report.scales),
        ),
        "Data": _data(manifest, provenance.plan.data if provenance else ""),
        "Training": _training(provenance),
        "Limits": _limits(report),
        "Licence": "AGPL-3.0-or-later, as its start weights and Ultralytics ask.",
    }
    head = f"""# {report.name}, version {report.version}

{architecture} that finds faces and tells {", ".join(f"`{label}`" for label in CLASSES)}. It takes RGB bytes and gives
faces; suppression of overlapping boxes is inside the graph, and a face is reported once.
"""
    return "\n".join([head, *(f"## {title}\n\n{text}\n" for title, text in sections.items() if text)])


def _figures(report: Report) -> str:
    inputs = ", ".join(f"«{name}» is {width}x{height}" for name, (width, height) in report.shapes.items())
    return f"""Of the exported files, in the serving runtime, on the part «{report.part}», not trained on. COCO's
average precision (pycocotools), and Ultralytics' on the same answers, since published figures are that. In brackets:
the 95 % interval over {RESAMPLES:,} resamples of the pictures. Inputs: {inputs}.

{precision_table(report.sets)}

{class_table(report.sets)}"""


def _under(sentence: str, rows: str) -> str:
    return f"{sentence}\n\n{rows}" if rows else ""


def _data(manifest: Manifest, trained_on: str) -> str:
    pictures: Counter[tuple[str, str]] = Counter((entry.source, entry.part) for entry in manifest.entries)
    faces: Counter[tuple[str, str]] = Counter(
        (face.label, entry.part) for entry in manifest.entries for face in entry.faces
    )
    other = (
        f" It was trained on another manifest, `{trained_on}`: whether that kept these pictures apart is not known."
        if trained_on not in {"", manifest.sha256}
        else ""
    )
    terms = "\n".join(f"- `{source}`: {TERMS.get(source, _UNKNOWN)}" for source in manifest.sources)
    return f"""{_counts("pictures", manifest.sources, pictures)}

{_counts("faces", CLASSES, faces)}

Look-alikes and copies of one photograph are on one side of the split. Manifest SHA-256 `{manifest.sha256}`.{other}

What the terms of each source mean for the weights:

{terms}"""


def _counts(head: str, names: Sequence[str], counts: Mapping[tuple[str, str], int]) -> str:
    return table([head, *_PARTS], [(name, *(counts[name, part] for part in _PARTS)) for name in names])


def _training(provenance: Provenance | None) -> str:
    if provenance is None:
        return "How it was trained was not kept with it."
    plan = provenance.plan
    steps = "\n".join(f"{number}. {sentence}" for number, sentence in enumerate(plan.history, 1))
    int8 = (
        f" INT8 was calibrated on {provenance.calibration_pictures} train pictures, letterboxed as they are served"
        f"{', the head left in floating point' if plan.head_in_floats else ''}."
        if provenance.calibration_pictures
        else ""
    )
    half = " FP32's weights are stored in half precision: FP16 reads the same file." if plan.half_weights else ""
    start = (
        " A start that is called «dequantised» is COCO weights recovered from a public INT8 file, not the official "
        "checkpoint (AGPL-3.0)."
        if "dequantised" in steps
        else ""
    )
    return f"""{steps or "How it was trained was not told."}

Exported with the {plan.head} head from the checkpoint `{provenance.checkpoint_sha256[:12]}`, of which `checkpoint.pt`
beside it is a copy without the paths of the machine that trained.{half}{int8}{start} The commands are in
`docs/training.md` and `docs/evaluation.md`."""


def _limits(report: Report) -> str:
    limits = []
    if whole := _serving(report):
        shares = ", ".join(
            f"{row.found:.0%} at {row.sizes} ({row.boxes} faces)"
            for row in whole.sizes_in_input
            if row.found is not None
        )
        limits.append(
            f"Of the faces of «{whole.title}», at score {report.score:g}, it finds, by size in the input: {shares}."
        )
        rarest = min(whole.figures.classes, key=lambda name: whole.figures.classes[name].boxes)
        figures = whole.figures.classes[rarest]
        limits.append(f"`{rarest}` is judged on {figures.boxes} faces only: its AP50 is {figures.ap50}.")
        if whole.calibration.error is not None:
            limits.append(
                f"A score is no probability: it is off by {whole.calibration.error:.2f} on average, over answers of "
                "score 0.1 and more."
            )
    limits += [*_ALWAYS]
    return "\n".join(f"- {limit}" for limit in limits)


def _serving(report: Report) -> SetReport | None:
    """Return the set that says most about service: the last precision through the first input, sources together."""
    if not report.sets:
        return None
    first, last = report.sets[0].shape, report.sets[-1].precision
    mine = [one for one in report.sets if one.shape == first and one.precision == last]
    return next((one for one in mine if one.source == EVERYTHING), mine[-1])
