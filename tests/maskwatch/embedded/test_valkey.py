import pytest
from redis.asyncio import Redis

from maskwatch.embedded import valkey
from maskwatch.errors import StackError
from tests.support import stack
from tests.support.stack import Valkey


@pytest.mark.skipif(stack.in_containers(), reason="the tests were asked to use containers")
async def test_keeps_in_memory_only_and_forgets_the_least_used(valkey: Valkey) -> None:
    async with Redis.from_url(valkey.url) as store:
        config = await store.config_get("*")
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
