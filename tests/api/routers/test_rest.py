"""Every REST call over a real socket: answers, problems, headers, and that the description shows them."""

import asyncio
import io
import re
import tarfile
from pathlib import Path
from typing import Any

import httpx
import pytest

from api import system
from api.problems import KINDS, MEDIA_TYPE
from api.routers import source
from maskwatch import __version__
from maskwatch.errors import BrokerError
from tests.support import stack
from tests.support.front_door import FrontDoor, front_door


def problem(answer: httpx.Response, name: str) -> dict[str, Any]:
    assert answer.headers["content-type"] == MEDIA_TYPE
    found: dict[str, Any] = answer.json()
    assert found["type"] == f"/docs#{name}"
    assert found["status"] == answer.status_code
    assert found["title"]
    assert found["detail"]
    return found


async def test_health_tells_the_version_and_where_the_source_is(tmp_path: Path) -> None:
    async with front_door(tmp_path, api={"token": "right"}) as door, door.client() as client:
        answer = await client.get("/health")
        assert answer.headers["x-content-type-options"] == "nosniff"
        assert answer.json() == {"status": "ok", "version": __version__, "source": "/source.tar.gz"}
        packed = await client.get(answer.json()["source"])
    with tarfile.open(fileobj=io.BytesIO(packed.content)) as archive:
        names = {Path(name).relative_to(f"maskwatch-{__version__}").as_posix() for name in archive.getnames()}
    assert {"LICENSE", "pyproject.toml", "api/console/app.js", "api/routers/source.py"} <= names
    assert not [name for name in names if name.endswith((".pyc", ".onnx", ".pt"))]
    assert "data/cameras.toml" not in names, "it may hold passwords"


async def test_the_source_is_packed_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = tmp_path / "project" / "api" / "app.py"
    file.parent.mkdir(parents=True)
    file.write_text("print('as it runs')")
    monkeypatch.setattr(source, "PROJECT", tmp_path / "project")
    async with front_door(tmp_path) as door, door.client() as client:
        first, *others = await asyncio.gather(*(client.get(source.PATH) for _ in range(4)))
        file.write_text("print('as it is to be after a restart')")
        others.append(await client.get(source.PATH))
    with tarfile.open(fileobj=io.BytesIO(first.content)) as archive:
        assert archive.getnames() == [f"maskwatch-{__version__}/api/app.py"]
    assert {answer.content for answer in others} == {first.content}


async def test_an_installation_may_name_where_its_source_is(tmp_path: Path) -> None:
    settings = {"source_url": "https://example.org/ours"}
    async with front_door(tmp_path, api=settings) as door, door.client() as client:
        assert (await client.get("/health")).json()["source"] == settings["source_url"]


async def test_ready_names_what_is_away_and_why(tmp_path: Path) -> None:
    async def there() -> str:
        return ""

    async def away() -> str:
        raise BrokerError("Kafka at nowhere does not answer")

    checks = {"valkey": there}
    async with front_door(tmp_path, checks=checks) as door, door.client() as client:
        answer = await client.get("/ready")
        assert answer.status_code == 200
        assert answer.json() == {"status": "ready", "checks": [{"name": "valkey", "ok": True, "reason": ""}]}
        checks["kafka"] = away
        found = problem(await client.get("/ready"), "not-ready")
        assert found["status"] == 503
        assert found["detail"] == "kafka is away."
        assert found["checks"][1] == {"name": "kafka", "ok": False, "reason": "Kafka at nowhere does not answer"}


async def test_ready_waits_for_no_check_that_does_not_answer(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    async def silent() -> str:
        await asyncio.Event().wait()
        return ""

    monkeypatch.setattr(system, "PATIENCE_S", 0.1)
    async with front_door(tmp_path, checks={"valkey": silent}) as door, door.client() as client:
        (check,) = problem(await client.get("/ready"), "not-ready")["checks"]
        assert check == {"name": "valkey", "ok": False, "reason": "no answer within 0.1 s"}


async def test_metrics_are_prometheus_text(tmp_path: Path) -> None:
    async with front_door(tmp_path) as door, door.client() as client:
        answer = await client.get("/metrics")
        assert answer.headers["content-type"].startswith("text/plain; version=")
        assert "maskwatch_viewers 0.0" in answer.text


async def test_cameras_are_listed_and_found_one_by_one(tmp_path: Path) -> None:
    async with front_door(tmp_path) as door, door.client() as client:
        door.add_camera("yard", "offline", "the webcam was unplugged")
        listed = (await client.get("/cameras")).json()["cameras"]
        assert [camera["id"] for camera in listed] == ["door", "yard"]
        assert listed[1] == {
            "id": "yard",
            "name": "yard",
            "source": "scene",
            "rate": 10.0,
            "recorded": 1.0,
            "paused": False,
            "managed": True,
            "state": "offline",
            "since": "2026-11-01T12:00:00Z",
            "reason": "the webcam was unplugged",
        }
        assert (await client.get("/cameras/yard")).json() == listed[1]
        assert problem(await client.get("/cameras/cellar"), "unknown-camera")["instance"] == "/cameras/cellar"


async def test_every_error_is_a_problem_with_an_explanation(tmp_path: Path) -> None:
    async with front_door(tmp_path, api={"token": "right"}) as door, door.client() as client:
        problem(await client.get("/nowhere"), "not-found")
        problem(await client.get("/console/nowhere.js"), "not-found")
        assert problem(await client.put("/cameras"), "other")["status"] == 405
        assert problem(await client.get("/cameras"), "unauthorized")["status"] == 401
        invalid = problem(await client.post("/session", json={"token": 5, "secret": "hunter2"}), "invalid")
        assert {entry["where"] for entry in invalid["errors"]} == {"body.token", "body.secret"}
        assert "hunter2" not in str(invalid)
        page = (await client.get("/docs")).text
        for kind in KINDS:
            assert f'id="{kind.name}"' in page


async def test_a_crash_is_a_problem_that_tells_nothing(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    async def crash() -> str:
        raise RuntimeError("the secret reason")

    async with front_door(tmp_path, checks={"kafka": crash}) as door, door.client() as client:
        answer = await client.get("/ready")
        assert answer.status_code == 500
        assert "secret" not in str(problem(answer, "internal"))
    assert "the secret reason" in caplog.text


async def test_with_a_token_only_health_and_the_pages_are_open(tmp_path: Path) -> None:
    async with front_door(tmp_path, api={"token": "right"}) as door:
        async with door.client() as stranger:
            for path in ("/health", "/", "/live/door", "/docs", "/openapi.json"):
                assert (await stranger.get(path)).status_code == 200, path
            for path in ("/cameras", "/cameras/door", "/ready", "/metrics"):
                answer = await stranger.get(path)
                problem(answer, "unauthorized")
                assert answer.headers["www-authenticate"] == "Bearer"
        async with door.client({"Authorization": "Bearer right"}) as operator:
            for path in ("/cameras", "/cameras/door", "/ready", "/metrics"):
                assert (await operator.get(path)).status_code == 200, path


async def test_a_browser_is_let_in_by_a_cookie_and_out_again(tmp_path: Path) -> None:
    async with front_door(tmp_path, api={"token": "right"}) as door, door.client() as browser:
        problem(await browser.post("/session", json={"token": "wrong"}), "unauthorized")
        problem(
            await browser.post("/session", json={"token": "right"}, headers={"Origin": "http://evil.example"}),
            "forbidden-origin",
        )
        answer = await browser.post("/session", json={"token": "right"})
        assert answer.status_code == 204
        cookie = answer.headers["set-cookie"].lower()
        assert "httponly" in cookie
        assert "samesite=strict" in cookie
        assert (await browser.get("/cameras")).status_code == 200
        await browser.delete("/session")
        assert (await browser.get("/cameras")).status_code == 401


async def test_where_no_token_is_needed_a_session_needs_no_cookie(tmp_path: Path) -> None:
    async with front_door(tmp_path) as door, door.client() as browser:
        answer = await browser.post("/session", json={"token": "any"})
        assert answer.status_code == 204
        assert "set-cookie" not in answer.headers


async def test_a_name_that_is_not_ours_is_refused(tmp_path: Path) -> None:
    async with front_door(tmp_path) as door, door.client({"Host": "evil.example"}) as client:
        assert problem(await client.get("/cameras"), "unknown-host")["status"] == 403


async def described(door: FrontDoor) -> dict[str, Any]:
    async with door.client() as client:
        found: dict[str, Any] = (await client.get("/openapi.json")).json()
    return found


async def test_every_call_is_described_with_an_example(tmp_path: Path) -> None:
    async with front_door(tmp_path) as door:
        description = await described(door)
    calls = {call["operationId"]: call for path in description["paths"].values() for call in path.values()}
    assert set(calls) == {
        "health",
        "ready",
        "status",
        "metrics",
        "list_cameras",
        "get_camera",
        "add_camera",
        "change_camera",
        "remove_camera",
        "try_camera",
        "predict",
        "batch_predict",
        "get_prediction",
        "stream_detections",
        "list_signals",
        "get_signals",
        "list_episodes",
        "get_episode",
        "get_evidence",
        "list_alerts",
        "acknowledge_alert",
        "list_frames_to_label",
        "take_frames_to_label",
        "ask_for_label",
        "get_label_progress",
        "get_picture_to_label",
        "keep_picture_to_label",
        "label_frame",
        "list_labels",
        "list_erasures",
        "erase_frame",
        "list_models",
        "get_model",
        "get_disagreement",
        "promote_model",
        "roll_back_model",
        "evaluate_model",
        "list_runs",
        "train",
        "stop_run",
        "describe_topics",
        "begin_session",
        "end_session",
    }
    schemas = description["components"]["schemas"]
    for name, call in calls.items():
        assert call["summary"], name
        for status, response in call["responses"].items():
            for kind, content in response.get("content", {}).items():
                reference = content.get("schema", {}).get("$ref", "").rpartition("/")[2]
                is_picture = content.get("schema", {}).get("format") == "binary"
                shown = (
                    is_picture
                    or "example" in content
                    or all(
                        "examples" in field or "const" in field for field in schemas[reference]["properties"].values()
                    )
                )
                assert shown, (name, status, kind)
                assert status < "400" or kind == MEDIA_TYPE, (name, status)
    assert "HTTPValidationError" not in str(description)


@pytest.mark.parametrize("path", ["/", "/live", "/live/door", "/drift", "/drift/door:s:1:drift", "/system"])
async def test_the_console_is_one_page_at_every_address(tmp_path: Path, path: str) -> None:
    async with front_door(tmp_path) as door, door.client() as client:
        answer = await client.get(path)
        assert answer.headers["content-type"].startswith("text/html")
        assert answer.headers["cache-control"] == "no-cache"
        assert answer.headers["referrer-policy"] == "no-referrer"
        policy = answer.headers["content-security-policy"]
        assert "default-src 'self'" in policy
        assert "frame-ancestors 'none'" in policy
        assert "unsafe" not in policy


async def test_a_browser_at_an_unknown_address_meets_the_console(tmp_path: Path) -> None:
    async with front_door(tmp_path) as door, door.client() as client:
        answer = await client.get("/no/such/page", headers={"Accept": "text/html,*/*;q=0.8"})
        assert answer.status_code == 404
        assert answer.text == (await client.get("/")).text
        problem(await client.get("/no/such/page"), "not-found")


async def test_the_consoles_files_are_revalidated(tmp_path: Path) -> None:
    async with front_door(tmp_path) as door, door.client() as client:
        first = await client.get("/console/index.html")
        assert first.headers["cache-control"] == "no-cache"
        again = await client.get("/console/index.html", headers={"If-None-Match": first.headers["etag"]})
        assert again.status_code == 304


async def test_the_documentation_names_no_other_host(tmp_path: Path) -> None:
    async with front_door(tmp_path) as door, door.client() as client:
        page = (await client.get("/docs")).text
        # Of addresses there are only cameras', as examples.
        assert set(re.findall(r"[\w.-]*://[\w.@:-]*", page)) <= {"rtsp://", "rtsps://", "http://", "https://"}
        script = await client.get("/docs/start.js")
        assert script.headers["content-type"].startswith("text/javascript")
        assert "://" not in script.text
        for path in ("/docs/files/swagger-ui.css", "/docs/files/swagger-ui-bundle.js"):
            assert path in page
            assert (await client.get(path)).status_code == 200


async def test_open_calls_end_before_the_server_does(tmp_path: Path) -> None:
    begun, go_on = asyncio.Event(), asyncio.Event()

    async def slow() -> str:
        begun.set()
        await go_on.wait()
        return ""

    async with front_door(tmp_path, checks={"kafka": slow}) as door, door.client() as client:
        calling = asyncio.create_task(client.get("/ready"))
        await begun.wait()
        door.stop.set()
        go_on.set()
        assert (await calling).status_code == 200


async def test_the_topics_are_described_with_our_own_addresses(tmp_path: Path) -> None:
    settings = stack.settings_for(tmp_path, "broker.example:9092", {"kafka": {"topic_prefix": "ours."}})
    async with front_door(tmp_path, settings=settings) as door, door.client() as client:
        described = (await client.get("/asyncapi.json")).json()
        assert described["servers"]["broker-0"]["host"] == "broker.example:9092"
        page = (await client.get("/docs/topics")).text
        assert "kcat -b broker.example:9092 -C -t ours.detections.v1 -o end" in page
        for text in (
            "ours.frames.live.v1",
            "frame.captured",
            "objects[].box",
            "ce_sequence",
            "with_mask",
            "model.name",
        ):
            assert text in page
        assert (await client.get("/console/topics.css")).status_code == 200
