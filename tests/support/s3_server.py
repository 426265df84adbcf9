"""A real S3 server for the tests: Versity's gateway on a folder, as compose/cluster.yaml has it."""

import os
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from maskwatch.embedded.broker import free_port
from tests.support.stack import PORTS, answers

USER, PASSWORD, BUCKET = "maskwatch", "only for tests", "maskwatch"
START_TIMEOUT_S = 30


@contextmanager
def serving(program: str, folder: Path) -> Iterator[dict[str, str]]:
    """Serve a bucket that is empty, and give the variables by which every client of S3 finds it."""
    (folder / "data" / BUCKET).mkdir(parents=True)
    port = free_port(PORTS)
    command = [program, "--port", f"127.0.0.1:{port}", "--quiet", "posix", str(folder / "data")]
    secrets = {"ROOT_ACCESS_KEY": USER, "ROOT_SECRET_KEY": PASSWORD}
    with (folder / "s3.log").open("wb") as log:
        process = subprocess.Popen(command, stdout=log, stderr=log, env={**os.environ, **secrets})
    try:
        deadline = time.monotonic() + START_TIMEOUT_S
        while not answers(port):
            if process.poll() is not None or time.monotonic() > deadline:
                raise RuntimeError(f"the S3 server did not start: {(folder / 's3.log').read_text()[-2000:]}")
            time.sleep(0.05)
        yield {
            "AWS_ENDPOINT_URL": f"http://127.0.0.1:{port}",
            "AWS_ACCESS_KEY_ID": USER,
            "AWS_SECRET_ACCESS_KEY": PASSWORD,
            "AWS_DEFAULT_REGION": "us-east-1",
        }
    finally:
        process.terminate()
        process.wait(20)
