import signal
import subprocess
import sys
import textwrap

CODE = textwrap.dedent(
    """
    import threading, time
    from maskwatch import command, signals
    from maskwatch.settings import Settings
    signals.STOP_TIMEOUT_S = 0.5

    async def work(settings, stop):
        import asyncio
        print("begun", flush=True)
        await stop.wait()
        {ending}

    print(command.run("record", work, Settings()))
    """
)


def interrupted(ending: str) -> tuple[int, str, str]:
    """Run a command that ends like this, and interrupt it."""
    with subprocess.Popen(
        [sys.executable, "-c", CODE.format(ending=ending)], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout is not None
        process.stdout.readline()
        process.send_signal(signal.SIGINT)
        output, errors = process.communicate(timeout=30)
    return process.returncode, output, errors


def test_an_interrupted_command_ends_in_order_and_gives_its_outcome() -> None:
    assert interrupted("return 'the outcome'") == (0, "the outcome\n", "")


def test_a_command_whose_thread_hangs_ends_all_the_same_and_says_so() -> None:
    code, output, errors = interrupted("await asyncio.to_thread(time.sleep, 3600)")
    assert (code, output) == (70, "")
    assert errors == "maskwatch: record has not ended 0.5 s after the signal\n"
