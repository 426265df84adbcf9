"""An erased picture's bytes are gone from the broker's own disk, once its logs were compacted."""

import asyncio
from datetime import timedelta
from pathlib import Path

import msgspec
import pytest

from api.app import end
from consumers.dataset import Dataset
from maskwatch import kafka as clients
from maskwatch import topics
from maskwatch.store import Store
from maskwatch.topics import TOPICS, Name
from tests.support import labelling
from tests.support.front_door import front_door
from tests.support.stack import Kafka, Valkey
from tests.support.waiting import eventually

SOON_MS = 1000
"""In place of the half hour that the contract says."""


@pytest.mark.long  # the broker's cleaner looks every 15 s
@pytest.mark.timeout(180)
async def test_the_bytes_of_an_erased_picture_and_of_its_label_are_on_no_disk(
    own_broker: Kafka, valkey: Valkey, tmp_path: Path
) -> None:
    ours = own_broker.settings(valkey={"url": valkey.url}, store={"url": (tmp_path / "store").as_uri()})
    kept = (Name.LABELS, Name.LABEL_REQUESTS)
    quick = [msgspec.structs.replace(topic, forget_ms=SOON_MS) for topic in TOPICS if topic.name in kept]
    await topics.ensure(ours, 2**30, quick)
    await labelling.ask(ours, labelling.request(1), labelling.request(2))
    picture, other = labelling.jpeg(1)[-400:], labelling.jpeg(2)[-400:]
    said = b'"box":[0.123456789,'

    def on_disk(data: bytes) -> bool:
        places = [own_broker._home / "kafka", tmp_path / "store"]
        files = [file for place in places for file in place.rglob("*") if file.suffix in {".log", ".jpg", ".json"}]
        return any(data in _content(file) for file in files)

    async with front_door(tmp_path, settings=ours) as door, door.client() as client:
        shared = door.services
        work = [asyncio.create_task(one) for one in (shared.label_feed.run(), shared.broker.run())]
        await eventually(lambda: not shared.label_feed.missing and not shared.broker.missing)
        face = {"label": "with_mask", "box": [0.123456789, 0.2, 0.4, 0.6]}
        for number in (1, 2):
            faces = [face] if number == 1 else []
            assert (
                await client.post("/labels", json={"frame": f"gate:s1:{number}", "faces": faces})
            ).status_code == 200
        assert on_disk(picture)
        assert on_disk(said)
        assert (await client.delete("/labels/gate:s1:1")).status_code == 200
        await end(work)
    async with clients.running(clients.durable_producer(ours), ours) as producer:
        store = Store(ours)
        erased = shared.labels.table.label("gate:s1:1")
        assert erased is not None
        # The stage has kept that it was erased, and the log is old enough to be rolled.
        store.write_label(erased.frame, msgspec.json.encode(erased))
        await asyncio.sleep(SOON_MS / 1000)
        # In the hour after it writes it again, by which the logs are rolled.
        await Dataset(ours, store, producer).tidy(erased.at + timedelta(minutes=40))
    await eventually(lambda: not on_disk(picture) and not on_disk(said))
    # Nobody else's is touched.
    assert on_disk(other)


def _content(file: Path) -> bytes:
    try:
        return file.read_bytes()
    except FileNotFoundError:
        return b""
