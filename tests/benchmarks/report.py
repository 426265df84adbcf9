"""A run as a table for the terminal, as Markdown for `docs/performance.md`, and as a picture."""

from collections.abc import Iterator, Sequence
from itertools import zip_longest
from pathlib import Path
from statistics import median

from rich.table import Table

from tests.benchmarks.results import Results, Uploading, promises

Row = tuple[str, ...]

COLOURS = {"ours": "#0f766e", "limit": "#94a3b8", "others": "#d97706"}


def table(results: Results) -> Table:
    """Return everything as one table for the terminal."""
    shown = Table("", "measured", "target", "", title=results.machine.sentence(), title_justify="left", box=None)
    for what, value, target, kept in _promise_rows(results):
        shown.add_row(what, value, target, kept, style="" if kept != "missed" else "bold red")
    for title, head, rows in _tables(results):
        shown.add_section()
        shown.add_row(title, style="bold")
        for row in (head, *rows):
            shown.add_row(*(cell for cell, _ in zip_longest(row[:4], range(4), fillvalue="")))
    return shown


def markdown(results: Results) -> str:
    """Return everything as Markdown."""
    parts = [
        f"Measured {results.machine.sentence()}. Recording: {results.recording}.",
        markdown_table(("", "measured", "target", ""), _promise_rows(results)),
    ]
    for title, head, rows in _tables(results):
        parts += [f"### {title}", markdown_table(head, rows)]
    return "\n\n".join(parts)


def _promise_rows(results: Results) -> list[Row]:
    return [
        (
            row.what,
            f"{row.value:.2f}{' ' * bool(row.unit)}{row.unit}" if row.bound < 5 else f"{row.value:.0f} {row.unit}",
            f"{'≥' if row.at_least else '≤'}{row.bound:g} {row.unit}".rstrip(),
            "kept" if row.kept else "missed",
        )
        for row in promises(results)
    ]


def _tables(results: Results) -> Iterator[tuple[str, Row, list[Row]]]:
    speeds = {
        "decode and inference alone, both cores": results.bare,
        "through Kafka to detections.v1": results.piped,
        **{f"Ultralytics predict(stream=True), {name}": rates for name, rates in results.rivals.items()},
    }
    yield (
        "Frames a second",
        ("", "median", "rounds"),
        [(name, f"{median(rates):.1f}", ", ".join(f"{rate:.1f}" for rate in rates)) for name, rates in speeds.items()],
    )
    yield (
        "From the broker's append to the viewer",
        ("load", "offered and shown", "p50", "p95"),
        [
            (
                f"{ages.load} % of capacity",
                f"{ages.offered:.0f} → {ages.shown:.0f} frames/s",
                f"{ages.p50_ms:.0f} ms",
                f"{ages.p95_ms:.0f} ms",
            )
            for ages in results.ages
        ],
    )
    yield (
        "Processes (memory, percent of one core)",
        ("", "idle", "at 100 % of capacity"),
        [
            (name, _use(results, "idle", name), _use(results, "loaded", name))
            for name in sorted({*results.idle, *results.loaded})
        ],
    )
    yield (
        "One frame by number of cameras, at the same rate in all",
        ("cameras", "detected", "CPU of Kafka, detector and live"),
        [(str(cost.cameras), f"{cost.detected:.1f} frames/s", f"{cost.cpu_ms:.1f} ms") for cost in results.costs],
    )
    if results.uploads_beside is not None:
        yield _uploads(results, results.uploads_beside)
    yield (
        "Capture, a row of its own: decode or draw, scale, encode, publish",
        ("source", "rate", "CPU"),
        [
            (capture.source, f"{capture.rate:.1f} frames/s", f"{capture.cpu_ms:.1f} ms a frame")
            for capture in results.captures
        ],
    )


def _uploads(results: Results, beside: Uploading) -> tuple[str, Row, list[Row]]:
    when = results.uploads_machine or results.machine
    title = "Uploads over HTTP, no camera unless said"
    if when != results.machine:
        title += f" (measured {when.date}, commit {when.commit})"
    most, share = results.upload_capacity, results.upload_capacity / results.bare_uploads
    rows = [
        ("decode and inference alone", f"{results.bare_uploads:.1f}", "", ""),
        ("as many as are answered", f"{most:.1f} ({share:.2f} of it)", "", ""),
        *(
            (f"{one.offered:.1f} offered ({100 * one.offered / most:.0f} % of capacity)", *_answered(one))
            for one in results.uploads
        ),
        (f"beside cameras at full load ({results.detected_beside:.1f} frames/s detected)", *_answered(beside)),
    ]
    return title, ("", "answered a second", "p50", "p95"), rows


def _answered(one: Uploading) -> Row:
    ages = ("no answers" if age is None else f"{age:.0f} ms" for age in (one.p50_ms, one.p95_ms))
    return f"{one.answered:.1f}", *ages


def _use(results: Results, when: str, name: str) -> str:
    use = getattr(results, when).get(name)
    return f"{use.rss_mb:.0f} MB, {use.cpu:.1f} %" if use else ""


def markdown_table(head: Row, rows: Sequence[Row]) -> str:
    """Return rows as a table."""
    lines = ["| " + " | ".join(row) + " |" for row in (head, ("---",) * len(head), *rows)]
    return "\n".join(lines)


def draw(results: Results, picture: Path) -> None:
    """Draw speeds and ages side by side into a PNG."""
    import matplotlib as mpl  # noqa: PLC0415  # slow, and only for this

    mpl.use("Agg")
    from matplotlib import pyplot as plt  # noqa: PLC0415

    figure, (speeds, ages) = plt.subplots(1, 2, figsize=(11, 3.6), layout="constrained")
    bars = [
        ("decode and inference alone", median(results.bare), "limit"),
        ("Maskwatch, through Kafka", results.capacity, "ours"),
        *((f"Ultralytics, {name}", median(rates), "others") for name, rates in results.rivals.items()),
    ]
    for name, value, kind in reversed(bars):
        drawn = speeds.barh(name, value, color=COLOURS[kind])
        speeds.bar_label(drawn, fmt="%.0f", padding=4)
    speeds.set_title("Frames a second", loc="left")
    speeds.set_xlim(0, 1.15 * max(value for _, value, _ in bars))
    places = range(len(results.ages))
    for offset, kind, values in (
        (-0.2, "limit", [one.p50_ms for one in results.ages]),
        (0.2, "ours", [one.p95_ms for one in results.ages]),
    ):
        drawn = ages.bar(
            [place + offset for place in places],
            values,
            0.38,
            color=COLOURS[kind],
            label="p50" if offset < 0 else "p95",
        )
        ages.bar_label(drawn, fmt="%.0f", padding=2)
    for place, one in zip(places, results.ages, strict=True):
        ages.hlines(250 if one.load <= 100 else 400, place - 0.45, place + 0.45, colors="#b91c1c", linestyles="dashed")
    ages.set_xticks(list(places), [f"{one.load} % load" for one in results.ages])
    ages.set_title("Age at the viewer, ms (dashed: the promise)", loc="left")
    # Beside the shortest bars.
    ages.legend(frameon=False, loc="upper left", bbox_to_anchor=(0, 0.55))
    for axes in (speeds, ages):
        axes.spines[["top", "right"]].set_visible(False)
    figure.savefig(picture, dpi=120)
    plt.close(figure)
