"""What a browser opens: the console's page and files, and the documentation of the calls.

Everything comes from this server. Files are revalidated on every use, so that an upgrade is seen at once.
"""

from html import escape
from http import HTTPStatus
from pathlib import Path

import fastapi_offline
from fastapi import APIRouter, FastAPI, Request
from fastapi.responses import FileResponse, HTMLResponse, Response
from starlette.exceptions import HTTPException
from starlette.staticfiles import StaticFiles

from api.problems import KINDS
from api.routers import source

CONSOLE = Path(__file__).parents[1] / "console"
SWAGGER = Path(fastapi_offline.__file__).parent / "static"

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
