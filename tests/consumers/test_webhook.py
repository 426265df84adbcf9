import asyncio
import hashlib
import hmac
import socket
from collections.abc import Iterator

import pytest

from consumers import webhook
from consumers.webhook import Webhook
from maskwatch.drift_settings import AlertSettings
from maskwatch.errors import SettingsError
from tests.support.hooks import receiving


@pytest.fixture(autouse=True)
def _no_pauses(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(webhook, "FIRST_PAUSE_S", 0.01)


@pytest.fixture
def silent() -> Iterator[str]:
    """An address that takes a connection and never answers."""
    with socket.create_server(("127.0.0.1", 0)) as listening:
        yield f"http://127.0.0.1:{listening.getsockname()[1]}/"


def settings(url: str, **more: object) -> AlertSettings:
    return AlertSettings.model_validate({"webhook": url, "timeout_s": 5, "attempts": 3, **more})


async def post(settings: AlertSettings, body: bytes = b"{}", identity: str = "a") -> bool:
    return await Webhook(settings).post(body, identity, asyncio.Event())


async def test_a_body_is_posted_once_and_signed() -> None:
    with receiving() as hook:
        assert await post(settings(hook.url, secret="key"), b'{"a":1}', "door:1")  # noqa: S106  # no secret
    (posted,) = hook.posted
    assert posted.body == b'{"a":1}'
    assert posted.headers["content-type"] == "application/json"
    assert posted.headers["maskwatch-alert"] == "door:1"
    time, digest = (part.split("=")[1] for part in posted.headers["maskwatch-signature"].split(","))
    assert digest == hmac.new(b"key", f"{time}.".encode() + posted.body, hashlib.sha256).hexdigest()


async def test_without_a_key_nothing_is_signed() -> None:
    with receiving() as hook:
        assert await post(settings(hook.url))
    assert "maskwatch-signature" not in hook.posted[0].headers


@pytest.mark.parametrize(
    ("statuses", "taken", "tries"),
    [((503, 429), True, 3), ((500,) * 9, False, 3), ((400,), False, 1), ((302,), False, 1)],
)
async def test_it_is_tried_again_when_that_may_help(statuses: tuple[int, ...], taken: bool, tries: int) -> None:
    with receiving(*statuses) as hook:
        assert await post(settings(hook.url)) is taken
    assert len(hook.posted) == tries


async def test_who_does_not_answer_or_is_not_there_is_given_up(silent: str) -> None:
    assert not await post(settings(silent, timeout_s=0.1, attempts=2))
    assert not await post(settings("http://127.0.0.1:9/", attempts=1))


async def test_all_tries_together_have_an_end(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(webhook, "LONGEST_S", 5.0)
    with receiving(*[503] * 20) as hook:
        assert not await post(settings(hook.url, attempts=20))
    assert len(hook.posted) == 1


def test_an_address_with_a_user_is_refused_without_saying_it() -> None:
    with pytest.raises(SettingsError, match=r"^alerts\.webhook must not name a user: put a token") as refused:
        Webhook(settings("https://ann:guessed@host/hook"))
    assert "guessed" not in str(refused.value)


@pytest.mark.parametrize("url", ["ftp://host/", "host", "file:///etc/passwd", "http://", "http://host:port/"])
def test_an_address_that_cannot_be_posted_to_is_refused_without_saying_it(url: str) -> None:
    with pytest.raises(SettingsError, match=r"^alerts\.webhook is no http:// or https:// address$"):
        Webhook(settings(url))
