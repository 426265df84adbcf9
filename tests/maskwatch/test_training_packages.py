"""What only training needs comes when it is first wanted: asked for once, installed, and gone on with."""

import os
import pty
import subprocess
import sys
import venv
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import pytest
from click.testing import CliRunner

from maskwatch import training_packages
from maskwatch.cli import main
from maskwatch.settings import PROJECT
from maskwatch.training_packages import QUESTION, PackagesMissingError

CODE = """
import sys
import click
from maskwatch import training_packages
from maskwatch.errors import MaskwatchError
from maskwatch.training_calls import ask
training_packages.PACKAGES = ("not_there_yet",)
try:
    click.echo(ask("trains:work", "it", yes="--yes" in sys.argv))
except MaskwatchError as error:
    sys.exit(str(error))
"""
TRAINS = """
def work(what):
    import not_there_yet
    print("noise")
    return what + not_there_yet.GOES_ON
"""
MAKE = """#!/bin/sh
echo "$@" > "{site}/asked"
echo "  installing"
{does}
"""
INSTALLS = """echo 'GOES_ON = " goes on"' > "{site}/not_there_yet.py\""""


class Done(NamedTuple):
    """How the command ended."""

    code: int
    out: str
    err: str


@pytest.fixture
def site(tmp_path: Path) -> Path:
    """Where modules of this test are installed."""
    (tmp_path / "trains.py").write_text(TRAINS)
    return tmp_path


@pytest.fixture
def made(site: Path) -> Callable[[str], dict[str, str]]:
    """Return the environment in which ``make`` is a script that stands for the installation of 3 GB."""

    def environment(does: str) -> dict[str, str]:
        (site / "bin").mkdir()
        make = site / "bin" / "make"
        make.write_text(MAKE.format(site=site, does=does.format(site=site)))
        make.chmod(0o755)
        path = os.pathsep.join(filter(None, (str(site), str(PROJECT), os.environ.get("PYTHONPATH"))))
        return os.environ | {"PATH": f"{site / 'bin'}{os.pathsep}{os.environ['PATH']}", "PYTHONPATH": path}

    return environment


def by_script(environment: dict[str, str], *arguments: str) -> Done:
    done = subprocess.run(
        [sys.executable, "-c", CODE, *arguments], env=environment, stdin=subprocess.DEVNULL, capture_output=True,
        text=True, timeout=60, check=False,
    )  # fmt: skip
    return Done(done.returncode, done.stdout, done.stderr)


def on_a_terminal(environment: dict[str, str], says: str) -> Done:
    ours, theirs = pty.openpty()
    process = subprocess.Popen(
        [sys.executable, "-c", CODE], env=environment, stdin=theirs, stderr=theirs, stdout=subprocess.PIPE, text=True
    )
    os.close(theirs)
    os.write(ours, f"{says}\n".encode())
    out, _ = process.communicate(timeout=60)
    err = b""
    try:
        while read := os.read(ours, 65_536):
            err += read
    except OSError:  # nobody has it open any more
        pass
    os.close(ours)
    return Done(process.returncode, out, err.decode())


def test_a_person_is_asked_once_and_the_command_goes_on(site: Path, made: Callable[[str], dict[str, str]]) -> None:
    done = on_a_terminal(made(INSTALLS), "y")
    assert (done.code, done.out) == (0, "it goes on\n")
    assert done.err.count(QUESTION) == 1
    assert done.err.index(QUESTION) < done.err.index("installing") < done.err.index("noise")
    asked = (site / "asked").read_text()
    assert f"-C {PROJECT}" in asked
    assert asked.endswith(f"{sys.prefix}/.train\n")


def test_who_declines_is_told_how(site: Path, made: Callable[[str], dict[str, str]]) -> None:
    done = on_a_terminal(made(INSTALLS), "n")
    assert (done.code, done.out) == (1, "")
    assert "not_there_yet is not installed; «make .venv/.train» installs what training needs (3 GB)" in done.err
    assert not (site / "asked").exists()


def test_a_script_is_not_asked_but_may_have_said_yes(site: Path, made: Callable[[str], dict[str, str]]) -> None:
    environment = made(INSTALLS)
    told = "not_there_yet is not installed; «make .venv/.train» installs what training needs (3 GB)\n"
    assert by_script(environment) == Done(1, "", told)
    assert by_script(environment, "--yes") == Done(0, "it goes on\n", "  installing\nnoise\n")


@pytest.mark.parametrize("does", ["exit 2", "true"])
def test_an_installation_that_brings_nothing_is_not_tried_again(
    made: Callable[[str], dict[str, str]], does: str
) -> None:
    done = by_script(made(does), "--yes")
    assert (done.code, done.out) == (1, "")
    assert done.err.count("installing") == 1
    assert "not_there_yet is not installed" in done.err


def test_what_is_missing_of_ours_is_no_package(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(ModuleNotFoundError, match=r"training\.nowhere"):
        training_packages.call("training.nowhere:work")
    # All are here: another installation would not help.
    monkeypatch.setattr(training_packages, "PACKAGES", ("json",))
    with pytest.raises(PackagesMissingError, match="elsewhere is not installed"):
        training_packages.call("elsewhere:work")


def test_half_an_installation_does_not_count(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(training_packages, "PACKAGES", ("json",))
    venv.create(tmp_path / "env", with_pip=False)
    monkeypatch.setattr(sys, "prefix", str(tmp_path / "env"))
    assert training_packages.are_here()
    # Without pip it fails, and what there was before it may be half.
    python, script, lock = tmp_path / "env/bin/python", PROJECT / "requirements/install.py", tmp_path / "lock.txt"
    command = [str(python), str(script), str(lock), "training", "1"]
    failed = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert (failed.returncode, "training: pip could not install" in failed.stderr) == (1, True)
    assert not training_packages.are_here()


def test_an_image_says_which_other_one_trains(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "path", [])
    assert str(PackagesMissingError("torch")) == (
        "torch is not installed; the image with the target «training» has it: compose/, --profile train, see "
        "docs/operate.md"
    )


def test_who_asks_for_a_round_is_offered_them_where_the_retrainer_runs(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(training_packages, "PACKAGES", ("not_there_yet",))
    monkeypatch.setenv("MASKWATCH_SETTINGS", "")
    done = CliRunner().invoke(main, ["retrain"])
    assert (done.exit_code, "not_there_yet is not installed" in done.output) == (69, True)
    # With a Kafka of one's own it runs where they are.
    monkeypatch.setenv("MASKWATCH_KAFKA__BOOTSTRAP_SERVERS", "127.0.0.1:1")
    done = CliRunner().invoke(main, ["retrain"])
    assert "cannot be used (KafkaConnectionError)" in done.output


def test_to_look_for_the_installer_leaves_the_process_as_it_is() -> None:
    code = "import distutils, sys; from maskwatch.training_packages import remedy; remedy(); sys.modules['distutils']"
    subprocess.run([sys.executable, "-W", "error::UserWarning", "-c", code], check=True, timeout=60)
