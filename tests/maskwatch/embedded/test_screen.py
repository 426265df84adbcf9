import asyncio
import io
import json

from rich.console import Console

from maskwatch.embedded.screen import Screen


class Lines(io.StringIO):
    encoding = "utf-8"


def shown(
    *, terminal: bool = False, everything: bool = False, encoding: str = "utf-8", patience_s: float = 60
) -> tuple[Screen, Lines]:
    out = Lines()
    out.encoding = encoding
    console = Console(file=out, force_terminal=terminal, width=100 if terminal else 40, highlight=False, _environ={})
    return Screen(console, everything=everything, patience_s=patience_s), out


def test_a_step_is_one_plain_line_however_long() -> None:
    view, out = shown()
    view.done("Apache Kafka 4.2.0", "checked, kept in ~/.local/share/maskwatch", 17.2)
    view.done("detector", "", 0.4)
    view.failed("camera", "no such clip")
    assert out.getvalue().splitlines() == [
        "  ✓ Apache Kafka 4.2.0       17 s   checked, kept in ~/.local/share/maskwatch",
        "  ✓ detector",
        "  ✗ camera                 no such clip; it is tried again",
    ]


def test_a_console_without_unicode_gets_words() -> None:
    view, out = shown(encoding="latin-1")
    view.done("detector")
    assert out.getvalue() == "  ok detector\n"


def line(level: str, event: str = "late", **fields: object) -> str:
    return json.dumps({"event": event, "level": level, "stage": "live", "timestamp": "t", **fields})


def test_only_what_needs_attention_is_shown() -> None:
    view, out = shown()
    for text in (
        line("info"),
        line("warning", age=2),
        line("error", "stage crashed"),
        "Traceback (most recent call last):",
        "ERROR live aiokafka gone",
    ):
        view.said("live", text)
    view.died("live", "ended with exit code 1: ValueError", 0.5)
    view.returned("live")
    assert [text.partition("│ ")[2] for text in out.getvalue().splitlines()] == [
        "late  age=2",
        "ERROR live aiokafka gone",
        "ended with exit code 1: ValueError; starting it again in 0.5 s",
        "is up again",
    ]


def test_everything_is_shown_on_request() -> None:
    view, out = shown(everything=True)
    view.said("live", line("debug", "seen"))
    assert out.getvalue().endswith("live     │ seen\n")


def test_lines_have_colours_on_a_terminal_and_no_color_is_kept() -> None:
    view, out = shown(terminal=True)
    view.said("live", line("warning"))
    assert "\x1b[" in out.getvalue()
    plain = Lines()
    console = Console(file=plain, force_terminal=True, highlight=False, _environ={"NO_COLOR": "1"})
    Screen(console).said("live", line("warning"))
    assert "\x1b[3" not in plain.getvalue()


async def test_a_long_wait_is_shown_and_a_short_one_is_not() -> None:
    view, out = shown(terminal=True)
    with view.waiting("quick"):
        await asyncio.sleep(0.3)
    view, slow = shown(terminal=True, patience_s=0)
    with view.waiting("slow"), view.waiting("other"):
        await asyncio.sleep(0.3)
    assert "slow" in slow.getvalue()
    assert "quick" not in out.getvalue()


async def test_a_download_is_a_bar_on_a_terminal_and_a_line_elsewhere() -> None:
    view, out = shown(terminal=True, patience_s=0)
    with view.waiting("Valkey"), view.fetching("Apache Kafka", 45_000_000) as advance:
        advance(15_000_000)
        await asyncio.sleep(0.3)
        advance(30_000_000)
        await asyncio.sleep(0.3)
    assert "Valkey" in out.getvalue()
    assert "45.0/45.0 MB" in out.getvalue()
    view, out = shown()
    with view.fetching("Apache Kafka", 45_000_000) as advance:
        advance(1)
    assert out.getvalue() == "  fetching Apache Kafka: 45 MB\n"
