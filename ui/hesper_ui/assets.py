"""The console's own files: font, styles and scripts, served under a name with their digest."""

import hashlib
import secrets
from pathlib import Path

from fastapi import FastAPI
from starlette.responses import Response
from starlette.staticfiles import StaticFiles
from starlette.types import Scope

FOLDER = Path(__file__).parent / "static"


def digest() -> str:
    """Returns a short digest over all our files, so that a browser may keep them for ever."""
    sum_ = hashlib.sha256()
    for path in sorted(FOLDER.iterdir()):
        sum_.update(path.name.encode())
        sum_.update(path.read_bytes())
    return sum_.hexdigest()[:12]


class _KeptFiles(StaticFiles):
    async def get_response(self, path: str, scope: Scope) -> Response:
        response = await super().get_response(path, scope)
        if response.status_code == 200:
            response.headers["Cache-Control"] = "public, max-age=31536000, immutable"
        return response


class Assets:
    """Where our files are found, and the lines that put them into a page's head."""

    def __init__(self) -> None:
        self.path = f"/console/assets/{digest()}"
        self.run = secrets.token_hex(8)  # a page from another run of the server is loaded again

    def serve(self, app: FastAPI) -> None:
        """Serves the files from ``app``, outside the console's own mount."""
        app.mount(self.path, _KeptFiles(directory=FOLDER), name="console-assets")

    def head(self, *scripts: str) -> str:
        """Returns the head lines: icon, styles, theme before the first paint, ``scripts``."""
        font = f"{self.path}/inter-latin-wght-normal.woff2"
        lines = [
            f'<meta name="hesper-run" content="{self.run}">',
            f'<link rel="icon" href="{self.path}/star.svg" type="image/svg+xml">',
            f'<link rel="preload" href="{font}" as="font" type="font/woff2" crossorigin>',
            f'<link rel="stylesheet" href="{self.path}/console.css">',
            f'<script src="{self.path}/theme.js"></script>',
            *(f'<script defer src="{self.path}/{script}"></script>' for script in scripts),
        ]
        return "\n".join(lines)
