"""``make bench``: measure, print, and write the figures where they are kept."""

from pathlib import Path

import click
import msgspec
from rich.console import Console

from tests.benchmarks.measure import Plan, measure, measure_uploads, prepare_stack
from tests.benchmarks.report import draw, markdown, table
from tests.benchmarks.results import Results
from tests.support.machine import write_between


@click.command()
@click.option("--recording", type=click.Path(path_type=Path), default=Path("build/bench.mcap"), show_default=True)
@click.option(
    "--json", "json_file", type=click.Path(path_type=Path), default=Path("build/bench.json"), show_default=True
)
@click.option(
    "--docs", type=click.Path(path_type=Path), help="Write table and picture there too, such as docs/performance.md."
)
@click.option("--picture", type=click.Path(path_type=Path), default=Path("build/bench.png"), show_default=True)
@click.option(
    "--factor", default=1.0, show_default=True, help="Shorter, to see that it runs; such figures are not to be quoted."
)
@click.option("--only-uploads", is_flag=True, help="Measure uploads alone; the other figures stay those of the JSON.")
def bench(  # noqa: PLR0913  # the command's options
    recording: Path, json_file: Path, docs: Path | None, picture: Path, factor: float, *, only_uploads: bool
) -> None:
    """Measure Maskwatch on this machine; leave it alone meanwhile."""
    console = Console(highlight=False)
    Path("build").mkdir(exist_ok=True)
    with console.status("") as status:

        def say(text: str) -> None:
            if console.is_terminal:
                status.update(text)
            else:
                console.print(text)

        def keep(results: Results) -> None:
            json_file.write_bytes(msgspec.json.format(msgspec.json.encode(results)) + b"\n")

        if only_uploads:
            results = msgspec.json.decode(json_file.read_bytes(), type=Results)
            measure_uploads(prepare_stack(), recording, results, Plan(factor), say)
        else:
            results = measure(recording, Plan(factor), say, keep)
    keep(results)
    draw(results, picture)
    console.print(table(results))
    console.print(f"{json_file}, {picture}")
    if docs is not None:
        write_between(docs, "figures", markdown(results))


if __name__ == "__main__":
    bench()
