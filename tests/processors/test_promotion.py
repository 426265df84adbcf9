from datetime import UTC, datetime

import msgspec
import pytest

from maskwatch.messages import ModelRef
from maskwatch.model_messages import Champion, CommandKind, ModelCommand, ModelVersion, PublishedModel, Verdict
from processors.promotion import decide

NOON = datetime(2026, 11, 28, 12, tzinfo=UTC)
ONE, TWO, THREE = (PublishedModel("faces", version, version * 64) for version in "123")
SERVES_TWO = Champion(model=TWO, previous=ONE, since=NOON, command="c0", by="me", why="")


def verdict(*, promote: bool) -> Verdict:
    refs = ModelRef("faces", "3", "3" * 64), ModelRef("faces", "2", "2" * 64)
    return Verdict(
        candidate=refs[0], champion=refs[1], precision="int8", manifest="", judged=NOON, promote=promote, conditions=()
    )


def command(kind: CommandKind, model: PublishedModel | None = None, **more: object) -> ModelCommand:
    plain = ModelCommand(id="c1", kind=kind, by="me", at=NOON, model=model, why="because")
    return msgspec.structs.replace(plain, **more)


def states(versions: tuple[ModelVersion, ...]) -> dict[str, str]:
    return {version.model.version: version.state for version in versions}


def test_a_promotion_changes_the_champion_and_what_becomes_of_both() -> None:
    first = decide(command("promote", ONE), None, {}, NOON)
    assert first.champion == Champion(model=ONE, previous=None, since=NOON, command="c1", by="me", why="because")
    assert states(first.versions) == {"1": "champion"}
    next_one = decide(command("promote", THREE, instead_of=TWO.sha256), SERVES_TWO, {}, NOON)
    assert next_one.champion is not None
    assert (next_one.champion.model, next_one.champion.previous) == (THREE, TWO)
    assert states(next_one.versions) == {"3": "champion", "2": "retired"}


def test_a_roll_back_is_a_step_back_and_a_second_one_the_step_forward() -> None:
    back = decide(command("roll-back"), SERVES_TWO, {}, NOON).champion
    assert back is not None
    assert (back.model, back.previous) == (ONE, TWO)
    forward = decide(command("roll-back"), back, {}, NOON).champion
    assert forward is not None
    assert forward.model == TWO
    # Before the first promotion every worker served its own.
    own = decide(command("roll-back"), msgspec.structs.replace(SERVES_TWO, previous=None), {}, NOON)
    assert own.champion is not None
    assert own.champion.model is None
    assert states(own.versions) == {"2": "retired"}


def test_of_two_at_once_the_first_wins() -> None:
    late = decide(command("promote", THREE, instead_of=ONE.sha256), SERVES_TWO, {}, NOON)
    assert late.champion is None
    assert late.versions == ()
    assert "meanwhile faces 2" in late.told
    judged = decide(command("propose", THREE, instead_of="", verdict=verdict(promote=True)), SERVES_TWO, {}, NOON)
    assert judged.champion is None
    assert states(judged.versions) == {"3": "candidate"}


@pytest.mark.parametrize(("told", "state"), [(verdict(promote=False), "refused"), (None, "candidate")])
def test_a_proposal_that_is_not_to_be_promoted_is_remembered_with_its_verdict(told: Verdict | None, state: str) -> None:
    found = decide(command("propose", THREE, verdict=told), SERVES_TWO, {}, NOON)
    assert found.champion is None
    assert states(found.versions) == {"3": state}
    assert found.versions[0].verdict == told


def test_a_proposal_that_passed_is_promoted_and_its_verdict_stays_with_it() -> None:
    good = verdict(promote=True)
    found = decide(command("propose", THREE, instead_of=TWO.sha256, verdict=good), SERVES_TWO, {}, NOON)
    assert found.champion is not None
    assert found.champion.model == THREE
    known = {version.model.sha256: version for version in found.versions}
    assert known[THREE.sha256].verdict == good
    retired = decide(command("roll-back"), found.champion, known, NOON).versions
    assert {version.model.version: version.verdict for version in retired} == {"2": None, "3": good}


@pytest.mark.parametrize(
    ("asked", "champion", "says"),
    [
        (command("promote", TWO), SERVES_TWO, "it serves already"),
        (command("propose", TWO), SERVES_TWO, "it serves already"),
        (command("promote"), None, "names a model"),
        (command("roll-back"), None, "nothing was promoted yet"),
    ],
)
def test_what_cannot_be_done_says_why_and_changes_nothing(
    asked: ModelCommand, champion: Champion | None, says: str
) -> None:
    found = decide(asked, champion, {}, NOON)
    assert (found.champion, found.versions) == (None, ())
    assert says in found.told


@pytest.mark.parametrize("kind", ["retrain", "evaluate", "stop"])
def test_what_is_asked_of_the_retrainer_changes_nothing_here(kind: CommandKind) -> None:
    found = decide(command(kind, THREE), SERVES_TWO, {}, NOON)
    assert (found.champion, found.versions, found.told) == (None, (), "left to the retrainer")
