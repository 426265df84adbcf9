import socket

import pytest

from maskwatch import kafka
from maskwatch.errors import BrokerError, SettingsError
from maskwatch.messages import SceneKnobs, decode
from maskwatch.settings import Settings
from maskwatch.topics import Name
from producers.knobs import parse, read, turn
from tests.support.stack import CreateTopics
from tests.support.topic import read_all


def test_knobs_are_read() -> None:
    assert parse(["light=0.3", "crowd=8", "masks=none", "colour=-1", "light=2"]) == {
        "light": 2.0,
        "crowd": 8,
        "masks": "none",
        "colour": -1.0,
    }


@pytest.mark.parametrize(
    ("knob", "message"),
    [
        ("light", r"«light» is no KNOB=VALUE, such as light=0.3; knobs: light \(a number, 0.05 to 3\); blur"),
        ("lihgt=1", r"no knob «lihgt»; did you mean light\? knobs: light"),
        ("zoom=1", r"no knob «zoom»; knobs: light .*; crowd \(a whole number, 0 to 24\)"),
        ("light=9", "light=9: light is a number, 0.05 to 3"),
        ("light=nan", "light=nan: light is a number"),
        ("light=bright", "light=bright: light is a number, 0.05 to 3"),
        ("crowd=2.5", "crowd=2.5: crowd is a whole number, 0 to 24"),
        ("masks=pirate", "masks=pirate: masks is .*surgical"),
        ("light=", "light=: light is a number"),
    ],
)
def test_what_is_wrong_is_named_with_what_would_be_right(knob: str, message: str) -> None:
    with pytest.raises(SettingsError, match=message):
        parse([knob])


async def test_a_camera_has_an_id(settings: Settings) -> None:
    with pytest.raises(SettingsError, match="«The Demo» is no camera id"):
        await turn(settings, "The Demo", ["light=1"])


async def test_a_turned_knob_leaves_the_others_as_they_are(settings: Settings, create_topics: CreateTopics) -> None:
    await create_topics(settings, Name.SCENE)
    assert await turn(settings, "demo", ["light=0.3"]) == ("light=0.3 blur=0 noise=0 colour=0 masks=mixed crowd=5")
    await turn(settings, "other", ["light=2"])
    assert await turn(settings, "demo", ["crowd=8", "masks=cloth"]) == (
        "light=0.3 blur=0 noise=0 colour=0 masks=cloth crowd=8"
    )
    found = {record.key: decode(record.value, SceneKnobs) for record in await read_all(settings, Name.SCENE)}
    assert found == {b"demo": SceneKnobs(light=0.3, masks="cloth", crowd=8), b"other": SceneKnobs(light=2)}


async def test_knobs_that_cannot_be_read_begin_anew(settings: Settings, create_topics: CreateTopics) -> None:
    await create_topics(settings, Name.SCENE)
    async with kafka.running(kafka.durable_producer(settings), settings) as producer:
        await kafka.send(producer, settings, Name.SCENE, key="demo", value=b'{"zoom": 1}', headers=[])
    assert await read(settings, "demo") == SceneKnobs()


async def test_a_broker_that_is_not_there_is_an_error(settings: Settings) -> None:
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        address = f"127.0.0.1:{unused.getsockname()[1]}"
        away = settings.model_copy(update={"kafka": settings.kafka.model_copy(update={"bootstrap_servers": address})})
        with pytest.raises(BrokerError, match=f"Kafka at {address} cannot be used"):
            await turn(away, "demo", ["light=1"])
