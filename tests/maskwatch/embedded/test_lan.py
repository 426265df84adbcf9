import asyncio
import os
import ssl
import stat
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest
from fastapi import FastAPI
from pydantic import SecretStr

from api.app import listening, run_server
from maskwatch.embedded import lan
from maskwatch.embedded.broker import free_port
from maskwatch.embedded.up import address
from maskwatch.errors import StackError
from maskwatch.settings import ApiSettings, Settings
from tests.support.qr import read_code
from tests.support.stack import PORTS


@pytest.fixture(autouse=True)
def _environment_as_before() -> Iterator[None]:
    before = dict(os.environ)
    yield
    os.environ.clear()
    os.environ.update(before)


@pytest.fixture
def nearby(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    addresses = ["192.168.7.20"]
    monkeypatch.setattr(lan, "nearby_addresses", lambda: tuple(addresses))
    return addresses


def test_what_is_made_is_kept_and_is_its_owners_alone(tmp_path: Path, nearby: list[str]) -> None:
    settings = Settings(data_dir=tmp_path)
    door = lan.prepare(settings)
    assert door == lan.prepare(settings)
    files = sorted((tmp_path / "lan").iterdir())
    assert [file.name for file in files] == ["certificate.pem", "key.pem", "token"]
    assert {stat.S_IMODE(file.stat().st_mode) for file in files} == {0o600}
    assert door.url(8000) == f"https://192.168.7.20:8000/#token={door.token}"
    assert len(door.token) >= 20
    certificate = door.certificate.read_bytes()
    nearby.append("10.9.8.7")
    assert lan.prepare(settings).certificate.read_bytes() != certificate
    assert lan.prepare(settings).token == door.token
    nearby.clear()
    with pytest.raises(StackError, match="no address in a network"):
        lan.prepare(settings)


def test_a_certificate_that_cannot_be_read_is_made_again(tmp_path: Path, nearby: list[str]) -> None:
    settings = Settings(data_dir=tmp_path)
    lan.prepare(settings).certificate.write_text("rubbish")
    assert nearby
    assert "BEGIN CERTIFICATE" in lan.prepare(settings).certificate.read_text()
    (tmp_path / "file").touch()
    with pytest.raises(StackError, match="cannot be used"):
        lan.prepare(Settings(data_dir=tmp_path / "file"))


def test_the_stages_are_told_and_a_token_of_ones_own_stays(tmp_path: Path, nearby: list[str]) -> None:
    own = Settings(data_dir=tmp_path, api=ApiSettings(token=SecretStr("mine")))
    opened = lan.prepare(own).settings(own)
    assert nearby
    assert (opened.api.host, opened.api.token.get_secret_value()) == ("0.0.0.0", "mine")  # noqa: S104
    assert os.environ["MASKWATCH_API__TOKEN"] == "mine"  # noqa: S105
    assert Settings().api.host == "0.0.0.0"  # noqa: S104
    assert address(opened) == "https://127.0.0.1:8000"


def test_a_phone_reads_the_code_from_the_terminal(tmp_path: Path, nearby: list[str]) -> None:
    door = lan.prepare(Settings(data_dir=tmp_path))
    assert nearby
    shown = lan.invitation(door, 8000)
    assert len(shown) < 30
    assert read_code(shown) == door.url(8000)


def test_loopback_is_not_nearby() -> None:
    assert not [found for found in lan.nearby_addresses() if found.startswith("127.")]


async def test_pages_are_served_with_the_certificate(tmp_path: Path, nearby: list[str]) -> None:
    settings = Settings(data_dir=tmp_path)
    door = lan.prepare(settings)
    assert nearby
    api = door.settings(settings).api.model_copy(update={"host": "127.0.0.1", "port": free_port(PORTS)})
    app = FastAPI()
    app.add_api_route("/", lambda: "here")
    stop = asyncio.Event()
    with listening(api) as listener:
        serving = asyncio.create_task(run_server(app, listener, stop, api))
        trusted = ssl.create_default_context(cafile=str(door.certificate))
        async with httpx.AsyncClient(verify=trusted) as client:
            answer = await client.get(f"https://127.0.0.1:{api.port}/")
        stop.set()
        await serving
    assert answer.json() == "here"
