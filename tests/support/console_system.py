"""What the console's stand-in server says of the system: an answer of the API's own shape that tests fill."""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

from fastapi import FastAPI, Request, Response
from fastapi.responses import JSONResponse

from api.system_schemas import System

GROUPS = ("detector-live", "detector-upload", "live", "drift", "archive")


def well(now: datetime) -> dict[str, Any]:
    """Return a system with four cameras and nothing wrong."""
    names = ("Front door", "Reception", "Ward 3", "Loading bay")
    return {
        "now": now,
        "troubles": [],
        "cameras": [
            {
                "id": f"cam-{number}",
                "name": name,
                "state": "online",
                "since": now - timedelta(hours=number),
                "reason": "",
                "wished": 10.0,
                "rate": 9.8 - number / 10,
                "age_s": 0.05 + number / 100,
                "dropped": 3 * number,
                "lost": [],
            }
            for number, name in enumerate(names, 1)
        ],
        "workers": [
            {"stage": stage, "pid": 4100 + number, "memory": memory, "rate": rate, "batch": batch, "detect_s": took,
             "model": model}
            for number, (stage, memory, rate, batch, took, model) in enumerate(
                [
                    ("api", 73_000_000, None, None, None, ""),
                    ("camera", 81_000_000, None, None, None, ""),
                    ("detector", 243_000_000, 38.2, 1.6, 0.017, "yolov8n-facemask 1"),
                    ("drift", 92_000_000, None, None, None, ""),
                    ("live", 61_000_000, None, None, None, ""),
                ]
            )
        ],
        "readers": [{"stage": group.partition("-")[0], "group": group, "hosts": ["127.0.0.1"]} for group in GROUPS],
        "pipeline": {"seconds": 60.0, "detected": 38.2, "age_p50_s": 0.048, "age_p95_s": 0.112,
                     "skipped": [{"reason": "replaced", "per_minute": 12.0}]},
        "topics": [
            {"name": name, "records": records, "bytes": size, "kept": kept,
             "oldest": now - timedelta(seconds=age) if records else None,
             "lag": [{"group": group, "records": behind} for group, behind in lag]}
            for name, records, size, age, kept, lag in [
                ("cameras.v1", 4, 2_100, 400_000, "newest per key", []),
                ("frames.live.v1", 2_400, 178_000_000, 62, "1 min, byte cap", [("detector-live", 2), ("live", 1)]),
                ("frames.recording.v1", 345_600, 25_400_000_000, 86_000, "1 d, byte cap", []),
                ("detections.v1", 2_300_000, 410_000_000, 500_000, "7 d, byte cap", [("live", 3), ("drift", 12)]),
                ("drift.v1", 6, 31_000, 900_000, "30 d", []),
                ("frames.upload.v1.dlq", 0, 0, 0, "14 d, byte cap", []),
            ]
        ],
        "disk": {"free": 71_000_000_000, "total": 252_000_000_000, "full_in_s": None, "seen_s": 4200.0},
        "versions": [
            {"name": "Maskwatch", "version": "0.1.0"},
            {"name": "Model in service", "version": "yolov8n-facemask 1"},
            {"name": "Python", "version": "3.11.7"},
        ],
    }  # fmt: skip


def broken(now: datetime) -> dict[str, Any]:
    """Return the same at three in the morning."""
    status = well(now)
    status["cameras"][2] |= {
        "state": "offline", "since": now - timedelta(minutes=47), "reason": "the camera does not answer",
        "rate": None, "age_s": None, "dropped": None,
    }  # fmt: skip
    status["cameras"][0]["lost"] = [{"reason": "unacknowledged", "per_minute": 4.5}]
    status["disk"] = {"free": 9_100_000_000, "total": 252_000_000_000, "full_in_s": 21_600.0, "seen_s": 4200.0}
    status["troubles"] = [
        {
            "severity": "broken",
            "what": "Camera «Ward 3» is offline: the camera does not answer",
            "since": now - timedelta(minutes=47),
            "doing": "It is tried again by itself, every minute at the latest.",
            "todo": "See to its power and its network; «Try again now» stands beside its picture.",
            "link": "/live/cam-3",
        },
        {
            "severity": "watch",
            "what": "The disk of Kafka has 4 % left, and is full in 6 h at this pace.",
            "since": now - timedelta(minutes=12),
            "doing": "Topics give way at their caps and ages; other files do not.",
            "todo": "Make room, or lower kafka.disk_share and make the topics anew.",
            "link": "",
        },
    ]
    return status


@dataclass
class SystemStandIn:
    """How everything does. Everything may be changed while the server runs."""

    status: Callable[[datetime], dict[str, Any]] = field(default=well)
    failing: bool = False
    hang: bool = False

    def add_calls(self, app: FastAPI, token: Callable[[], str]) -> None:
        """Add the call to an app; a browser must have the token."""

        @app.get("/status")
        async def status(request: Request) -> Response:
            while self.hang:  # noqa: ASYNC110  # set from the test's thread
                await asyncio.sleep(0.05)
            if request.cookies.get("token", "") != token():
                return _problem(401, "The token is missing or not the right one.")
            if self.failing:
                return _problem(500, "The request crashed; the server goes on.")
            answer = System.model_validate(self.status(datetime.now(UTC)))
            return JSONResponse(answer.model_dump(mode="json"))


def _problem(status: int, detail: str) -> Response:
    problem = {"type": "/docs#internal", "title": "A problem", "status": status, "detail": detail}
    return JSONResponse(problem, status, media_type="application/problem+json")
