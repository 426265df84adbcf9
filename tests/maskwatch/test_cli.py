import asyncio
import json
import re
import subprocess
import sys
from importlib import import_module
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from maskwatch import cli
from maskwatch.cli import SECTIONS, main
from maskwatch.errors import SettingsError


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
    for name in main.commands:
        if name == "scene":
            continue
        assert "Example: " in run(name, "--help").output, name
    for name in ("set", "draw"):
        assert "Example: " in run("scene", name, "--help").output, name


def test_every_target_that_is_named_as_a_string_exists() -> None:
    targets = re.findall(r'"([a-z_.]+:[a-z_]+)"', Path(cli.__file__).read_text())
    assert len(targets) > 8
    for target in targets:
        module, _, name = target.partition(":")
        assert callable(getattr(import_module(module), name)), target


@pytest.mark.parametrize("command", ["camera", "api", "live", "topics"])
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
