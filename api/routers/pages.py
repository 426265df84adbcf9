"""What a browser opens: the console's page and files, and the documentation of the calls.

Everything comes from this server. Files are revalidated on every use, so that an upgrade is seen at once.
"""

import re
from html import escape
from http import HTTPStatus
from pathlib import Path

import fastapi_offline
from fastapi import APIRouter, FastAPI, Request
from fastapi.responses import FileResponse, HTMLResponse, Response
from starlette.datastructures import Headers
from starlette.exceptions import HTTPException
from starlette.staticfiles import StaticFiles
from starlette.types import ASGIApp, Receive, Scope, Send

from api.problems import KINDS
from api.routers import source

CONSOLE = Path(__file__).parents[1] / "console"
SWAGGER = Path(fastapi_offline.__file__).parent / "static"

_SHARED = re.compile(r"/models(/[^/]+)?/?")
"""Pages whose address is a call's too."""

router = APIRouter(include_in_schema=False)

# A file of its own: pages run no inline scripts.
_START = """\
window.addEventListener("DOMContentLoaded", () => {
  SwaggerUIBundle({
    url: "/openapi.json",
    dom_id: "#calls",
    validatorUrl: null,
    // What is drawn above the problems has moved them away from where the browser looked for one.
    onComplete: () => document.getElementById(location.hash.slice(1))?.scrollIntoView(),
  });
});
"""

_DOCS = """\
<!doctype html>
<html lang="en">
  <head>
    <meta charset="utf-8">
    <meta name="viewport" content="width=device-width, initial-scale=1">
    <title>Maskwatch: calls</title>
    <link rel="icon" href="data:,">
    <link rel="stylesheet" href="/docs/files/swagger-ui.css">
    <script src="/docs/files/swagger-ui-bundle.js" defer></script>
    <script src="/docs/start.js" defer></script>
  </head>
  <body>
    <main>
      <div id="calls"></div>
      <section class="swagger-ui"><div class="wrapper">
        <h2 id="problems">Problems</h2>
        <p>Every error is application/problem+json (RFC 9457); its <code>type</code> leads here.</p>
        <dl>{problems}</dl>
      </div></section>
    </main>
  </body>
</html>
"""


class ForBrowsers:
    """Gives a browser the console's page at an address that is a call's too; whatever else asks gets the call's answer.

    Parameters
    ----------
    app
        Answers everything else.
    """

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""
        asks_for_page = scope["type"] == "http" and scope["method"] == "GET" and _SHARED.fullmatch(scope["path"])
        if asks_for_page and "text/html" in Headers(scope=scope).get("accept", ""):
            await FileResponse(CONSOLE / "index.html", headers={"Vary": "Accept"})(scope, receive, send)
            return
        await self._app(scope, receive, send)


@router.get("/")
@router.get("/live")
@router.get("/live/{camera}")
@router.get("/review")
@router.get("/drift")
@router.get("/drift/{episode}")
@router.get("/system")
async def console() -> FileResponse:
    """Return the console's one page; its script reads the address."""
    return FileResponse(CONSOLE / "index.html")


@router.get("/docs")
async def docs() -> HTMLResponse:
    """Return the documentation of the calls and of the problems."""
    problems = "".join(
        f'<dt id="{kind.name}"><code>{kind.name}</code> ({int(kind.status)}): {escape(kind.title)}</dt>'
        f"<dd><p>{escape(kind.remedy)}</p></dd>"
        for kind in KINDS
    )
    return HTMLResponse(_DOCS.replace("{problems}", problems))


@router.get("/docs/start.js")
async def start_script() -> Response:
    """Return the script that draws the documentation."""
    return Response(_START, media_type="text/javascript")


async def elsewhere(request: Request) -> FileResponse:
    """Return the console's page, which says that there is no such page, to a browser; a problem to anything else."""
    if "text/html" not in request.headers.get("accept", ""):
        raise HTTPException(HTTPStatus.NOT_FOUND)
    return FileResponse(CONSOLE / "index.html", status_code=HTTPStatus.NOT_FOUND)


def install(app: FastAPI) -> None:
    """Add the pages and their files to an app."""
    app.include_router(router)
    app.include_router(source.router)
    app.mount("/console", StaticFiles(directory=CONSOLE))
    app.mount("/docs/files", StaticFiles(directory=SWAGGER))
    # The last one: it matches whatever no other has.
    app.add_api_route("/{path:path}", elsewhere, include_in_schema=False)
