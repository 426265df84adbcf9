from pathlib import Path

import pytest
from redis.asyncio import Redis

from maskwatch.embedded import valkey
from maskwatch.errors import StackError
from tests.support.stack import EmbeddedValkey, Valkey


async def test_keeps_in_memory_only_and_forgets_the_least_used(tmp_path: Path) -> None:
    own = EmbeddedValkey(tmp_path)
    own.start()
    try:
        async with Redis.from_url(f"redis://{own.address}") as store:
            config = await store.config_get("*")
    finally:
        own.stop()
    assert config["bind"] == "127.0.0.1"
    assert (config["save"], config["appendonly"]) == ("", "no")
    assert (config["maxmemory"], config["maxmemory-policy"]) == (str(256 * 2**20), "allkeys-lru")


async def test_returns_empty_after_a_kill(valkey: Valkey) -> None:
    async with Redis.from_url(valkey.url) as store:
        await store.set("a", "b")
    valkey.kill()
    valkey.start()
    async with Redis.from_url(valkey.url) as store:
        assert await store.get("a") is None


@pytest.mark.parametrize("package", ["nothing-of-that-name", "json"])
def test_a_machine_without_it_is_told_what_to_do(package: str) -> None:
    with pytest.raises(StackError, match="MASKWATCH_VALKEY__URL"):
        valkey.binary(package)


def test_version_is_the_servers() -> None:
    assert valkey.version().split(".")[0] == "9"
