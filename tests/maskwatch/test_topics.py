from maskwatch import topics
from maskwatch.settings import Settings
from maskwatch.topics import Name


async def test_all_topics_are_created_once(topics_ready: Settings) -> None:
    assert await topics.ensure(topics_ready, 2**30) == []
    config = await topics.configuration(topics_ready, Name.FRAMES_LIVE)
    assert config["message.timestamp.type"] == "LogAppendTime"
    assert config["retention.ms"] == "60000"
