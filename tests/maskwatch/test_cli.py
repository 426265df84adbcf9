import ast
import asyncio
import json
import re
import shlex
import subprocess
import sys
from pathlib import Path

import click
import pytest
from click import Group
from click.testing import CliRunner, Result

from maskwatch import (
    __version__,
    camera_commands,
    cli,
    data_commands,
    drift_commands,
    label_commands,
    model_commands,
    recording_commands,
    scene_commands,
    secret_commands,
    training_calls,
    training_commands,
)
from maskwatch.cli import SECTIONS, main
from maskwatch.errors import SettingsError
from maskwatch.quantities import say_size
from maskwatch.settings import PROJECT
from tests.support.recordings import frame, written

COMMAND_MODULES = (
    cli,
    camera_commands,
    data_commands,
    drift_commands,
    label_commands,
    model_commands,
    recording_commands,
    scene_commands,
    secret_commands,
    training_calls,
    training_commands,
)


@pytest.fixture(autouse=True)
def _no_settings_file(monkeypatch: pytest.MonkeyPatch) -> None:
    # --settings is passed on to children by this variable; here it must not outlive its test.
    monkeypatch.setenv("MASKWATCH_SETTINGS", "")


def run(*arguments: str) -> Result:
    return CliRunner().invoke(main, arguments)


def test_help_fits_one_screen_and_is_grouped_by_what_a_person_wants() -> None:
    lines = run("--help").output.splitlines()
    assert len(lines) <= 40
    assert [line.rstrip(":") for line in lines if line.rstrip(":") in SECTIONS] == list(SECTIONS)


def test_every_command_is_in_a_section_and_has_an_example() -> None:
    assert sorted(name for names in SECTIONS.values() for name in names) == sorted(main.commands)
    for name, command in main.commands.items():
        if not isinstance(command, Group):
            assert "Example: " in run(name, "--help").output, name
            continue
        for below in command.commands:
            assert "Example: " in run(name, below, "--help").output, (name, below)


def test_every_target_that_is_named_as_a_string_exists() -> None:
    texts = [Path(module.__file__ or "").read_text() for module in COMMAND_MODULES]
    targets = re.findall(r'"([a-z_.]+:[a-z_]+)"', "".join(texts))
    assert len(targets) > 8
    for target in targets:
        assert is_there(target), target


def is_there(target: str) -> bool:
    """Tell whether a module defines what is called, without importing it: what it needs may not be installed."""
    module, _, name = target.partition(":")
    tree = ast.parse((PROJECT / module.replace(".", "/")).with_suffix(".py").read_text())
    return any(
        isinstance(one, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef) and one.name == name for one in tree.body
    )


@pytest.mark.parametrize("command", ["camera", "api", "live", "topics", "record", "replay"])
def test_commands_do_not_load_what_they_do_not_need(command: str) -> None:
    code = (
        "import sys; from maskwatch.cli import main\n"
        f"try: main(['{command}', '--help'])\nexcept SystemExit: pass\n"
        "print([name for name in ('torch', 'openvino', 'cv2', 'aiokafka', 'fastapi') if name in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=True)
    assert done.stdout.splitlines()[-1] == "[]"


def test_what_we_raise_on_purpose_is_one_line_and_an_exit_code(tmp_path: Path) -> None:
    file = tmp_path / "wrong.toml"
    file.write_text("[kafka]\nprot = 1\n")
    result = run("--settings", str(file), "settings")
    assert result.exit_code == SettingsError.exit_code
    assert result.output == f"maskwatch: {file}: unknown key kafka.prot; did you mean kafka.port?\n"


def test_an_unknown_variable_is_warned_about(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MASKWATCH_KAFKA__PROT", "1")
    assert "unknown variable MASKWATCH_KAFKA__PROT; did you mean" in run("settings").output


def test_settings_are_printed_with_secrets_masked(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MASKWATCH_API__TOKEN", "open-sesame")
    tree = json.loads(run("settings", "--json").output)
    assert tree["api.token"] == "********"
    assert tree["kafka.port"] == "9092"
    text = run("settings").output
    assert "open-sesame" not in text
    assert "port of the embedded broker" in text


def test_python_m_maskwatch_is_the_command_line() -> None:
    done = subprocess.run(
        [sys.executable, "-m", "maskwatch", "--version"], capture_output=True, text=True, timeout=60, check=True
    )
    assert done.stdout.startswith("maskwatch, version ")


def test_drawing_pictures_says_what_it_did(tmp_path: Path) -> None:
    result = run("scene", "draw", str(tmp_path / "drawn"), "--count", "2")
    assert result.output == f"2 pictures in {tmp_path / 'drawn'}\n"
    assert len(list((tmp_path / "drawn" / "images").iterdir())) == 2


def test_a_wrong_knob_is_refused_with_the_known_ones() -> None:
    result = run("scene", "set", "lihgt=0.3")
    assert result.exit_code != 0
    assert "light" in result.output


def test_stages_are_run_by_the_worker(monkeypatch: pytest.MonkeyPatch) -> None:
    ran: list[tuple[str, bool]] = []
    monkeypatch.setattr(
        "maskwatch.worker.run", lambda name, stage, _: ran.append((name, asyncio.iscoroutinefunction(stage)))
    )
    for command in ("detector", "live", "api"):
        assert run(command).exit_code == 0
    assert ran == [("detector", True), ("live", True), ("api", True)]


@pytest.mark.parametrize("command", ["record", "replay"])
def test_the_help_of_what_has_many_options_fits_one_screen(command: str) -> None:
    lines = run(command, "--help").output.splitlines()
    assert len(lines) <= 30
    assert max(map(len, lines)) <= 100


def test_what_is_in_a_recording_is_told(tmp_path: Path) -> None:
    file = written(tmp_path / "visit.mcap", [frame("door", n, at_ms=500 * n, jpeg=b"x" * 1000) for n in range(3)])
    assert run("record", "--info", str(file)).output.splitlines() == [
        f"{file}: 3 frames of 1 camera, {say_size(file.stat().st_size)}, written by maskwatch {__version__}",
        "  1 s, from 2026-02-02T02:40:00.000000Z to 2026-02-02T02:40:01.000000Z",
        "  frames.live.v1  3 records, 3.8 kB",
        "    door  3 frames, 1280x720, 3 kB",
    ]
    tree = json.loads(run("record", "--info", "--json", str(file)).output)
    assert tree | {"topics": None} == {
        "file": str(file),
        "file_bytes": file.stat().st_size,
        "written_by": f"maskwatch {__version__}",
        "cut": "",
        "records": 3,
        "seconds": 1.0,
        "first": "2026-02-02T02:40:00.000000Z",
        "last": "2026-02-02T02:40:01.000000Z",
        "topics": None,
    }
    assert tree["topics"]["frames.live.v1"]["cameras"] == {"door": {"frames": 3, "bytes": 3000, "sizes": [[1280, 720]]}}


def test_of_a_recording_that_is_cut_off_it_is_told_where(tmp_path: Path) -> None:
    file = written(tmp_path / "cut.mcap", [frame()])
    file.write_bytes(file.read_bytes()[:200])
    result = run("record", "--info", str(file))
    assert result.exit_code == 0
    assert f"maskwatch: {file} is cut off after 0 records, at 0.0 s: " in result.stderr
    assert "  0 s, from - to -" in result.stdout


@pytest.mark.parametrize(
    ("arguments", "code", "problem"),
    [
        (("record", "--info", "missing.mcap"), 66, "missing.mcap cannot be read: No such file or directory"),
        (("record", "--info", __file__), 66, "test_cli.py is no recording; «maskwatch record test_cli.py» makes one"),
        (("record", "a.mcap", "--topic", "frames.life.v1"), 78, "no topic frames.life.v1; did you mean frames.live.v1"),
        (("record", "a.mcap", "--all", "--topic", "scene.v1"), 78, "give --topic or --all, not both"),
        (("record", "a.mcap", "--max-size", "much"), 2, "'much' is not a size, such as 500MB or 2GB"),
        (("record", "a.mcap", "--duration", "0s"), 2, "'0s' is no duration, such as 90s or 10m"),
        (("replay", "missing.mcap"), 66, "missing.mcap cannot be read: No such file or directory"),
        (("replay", "a.mcap", "--speed", "2", "--fast"), 78, "give --speed or --fast, not both"),
        (("replay", "a.mcap", "--speed", "0"), 2, "0.0 is not in the range"),
    ],
)
def test_a_recording_that_cannot_be_made_or_replayed_says_why(
    arguments: tuple[str, ...], code: int, problem: str
) -> None:
    result = run(*arguments)
    assert problem in result.output
    assert result.exit_code == code


PAGES = (PROJECT / "README.md", *sorted((PROJECT / "docs").glob("*.md")))
COMMANDS = [
    command
    for page in PAGES
    for command in re.findall(r"^    \.venv/bin/maskwatch ([^#|\n]*)", page.read_text(), re.MULTILINE)
]


@pytest.mark.parametrize("command", sorted({command.strip() for command in COMMANDS}))
def test_the_commands_in_the_pages_are_understood(command: str, monkeypatch: pytest.MonkeyPatch) -> None:
    called: list[str] = []
    for module in COMMAND_MODULES:
        monkeypatch.setattr(module, "call", lambda target, *_, **__: called.append(target))
    # The pages name files that a reader has by then.
    monkeypatch.setattr(click.Path, "convert", lambda _self, value, _param, _ctx: Path(value))
    result = run(*shlex.split(command))
    assert result.exit_code == 0, result.output
    for target in called:
        assert is_there(target), target
    assert called


def test_what_is_logged_while_a_command_runs_stays_out_of_its_answer() -> None:
    code = (
        "import click, structlog\n"
        "from maskwatch.cli import main\n"
        "@main.command()\n"
        "def probe():\n"
        "    structlog.get_logger().warning('inference takes long')\n"
        "    click.echo('{}')\n"
        "main(['probe'])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=True)
    assert done.stdout == "{}\n"
    assert "inference takes long" in done.stderr
