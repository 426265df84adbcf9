"""What goes over which topic: AsyncAPI for programs, a plain page for people, with this installation's addresses."""

from collections.abc import Iterator, Mapping
from html import escape
from typing import Any

from fastapi import APIRouter
from fastapi.responses import HTMLResponse

from api.dependencies import Asking, Shared
from api.problems import UNAUTHORIZED, documented
from maskwatch.schemas import asyncapi

router = APIRouter(tags=["topics"])

_PAGE = """\
<!doctype html>
<html lang="en">
  <head>
    <meta charset="utf-8">
    <meta name="viewport" content="width=device-width, initial-scale=1">
    <title>Maskwatch: topics</title>
    <link rel="icon" href="/console/favicon.svg">
    <link rel="stylesheet" href="/console/tokens.css">
    <link rel="stylesheet" href="/console/topics.css">
  </head>
  <body>
    <main>
      <h1>Topics</h1>
      <p>{about}</p>
      <pre><code>kcat -b {servers} -C -t {detections} -o end</code></pre>
      <p>The same for programs: <a href="/asyncapi.json">AsyncAPI 3</a>. Calls over HTTP: <a href="/docs">/docs</a>.</p>
      {topics}
    </main>
  </body>
</html>
"""


@router.get(
    "/asyncapi.json",
    operation_id="describe_topics",
    summary="Every topic, as AsyncAPI 3",
    responses={
        200: {"content": {"application/json": {"example": {"asyncapi": "3.0.0", "channels": {"detections.v1": {}}}}}},
        **documented((UNAUTHORIZED, "The token is missing or not the right one.", "/asyncapi.json")),
    },
)
async def describe_topics(shared: Shared, _: Asking) -> dict[str, Any]:
    """Describe every topic and every message, with the addresses of this installation."""
    return asyncapi(shared.settings.bootstrap_servers, shared.settings.kafka.topic_prefix)


@router.get("/docs/topics", include_in_schema=False)
async def topics_page(shared: Shared, _: Asking) -> HTMLResponse:
    """Show the same to people."""
    described = asyncapi(shared.settings.bootstrap_servers, shared.settings.kafka.topic_prefix)
    channels: Mapping[str, Mapping[str, Any]] = described["channels"]
    schemas = described["components"]["schemas"]
    page = _PAGE.format(
        about=escape(described["info"]["description"]),
        servers=escape(shared.settings.bootstrap_servers),
        detections=escape(channels["detections.v1"]["address"]),
        topics="\n".join(_topic(channel, schemas) for channel in channels.values()),
    )
    return HTMLResponse(page)


def _topic(channel: Mapping[str, Any], schemas: Mapping[str, Any]) -> str:
    message = channel["messages"]["record"]
    kafka = channel["bindings"]["kafka"]
    facts = (
        f"{channel['description']}; key: {message['bindings']['kafka']['key']['description']}; "
        f"{kafka['partitions']} partition(s); {message['contentType']}"
    )
    rows = "".join(
        f"<tr><td><code>{escape(name)}</code></td><td>{escape(kind)}</td><td>{escape(about)}</td></tr>"
        for name, kind, about in _fields(message, schemas)
    )
    table = f"<table><thead><tr><th>field</th><th>type</th><th>what</th></tr></thead><tbody>{rows}</tbody></table>"
    name = escape(channel["address"])
    return f'<section><h2 id="{name}"><code>{name}</code></h2><p>{escape(facts)}</p>{table}</section>'


def _fields(message: Mapping[str, Any], schemas: Mapping[str, Any]) -> Iterator[tuple[str, str, str]]:
    for header in message["headers"]["required"]:
        yield header, "header", ""
    reference = message["payload"].get("$ref")
    if reference is None:
        yield "value", message["payload"].get("format", "json"), message["payload"]["description"]
        return
    schema = schemas[reference.rpartition("/")[2]]
    for name, field in schema["properties"].items():
        yield from _field(name, field, schemas)


def _field(name: str, field: Mapping[str, Any], schemas: Mapping[str, Any]) -> Iterator[tuple[str, str, str]]:
    """Yield a field, and those of the objects in it."""
    # Of a tuple, such as a box, "items" says that nothing follows.
    inner = field["items"] if isinstance(field.get("items"), dict) else field
    options = [option for option in inner.get("anyOf", [inner]) if option.get("type") != "null"]
    reference = next((option["$ref"] for option in options if "$ref" in option), None)
    if reference is None:
        yield name, _type(field), field.get("description", "")
        return
    many = "[]" if inner is not field else ""
    schema = schemas[reference.rpartition("/")[2]]
    yield f"{name}{many}", "array" if many else "object", schema.get("description", "").partition("\n")[0]
    for below, one in schema["properties"].items():
        yield from _field(f"{name}{many}.{below}", one, schemas)


def _type(field: Mapping[str, Any]) -> str:
    if "enum" in field:
        return " | ".join(map(str, field["enum"]))
    if "anyOf" in field:
        return " | ".join(_type(option) for option in field["anyOf"])
    return str(field.get("type", "any"))
