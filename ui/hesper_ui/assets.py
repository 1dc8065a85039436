"""The console's own files: font, styles and scripts, served under a name with their digest."""

import hashlib
import json
import re
import secrets
from functools import cache
from pathlib import Path

from fastapi import FastAPI
from starlette.responses import Response
from starlette.staticfiles import StaticFiles
from starlette.types import Scope

from hesper_ui.compressed import Compressed
from hesper_ui.tongues import Tongue

FOLDER = Path(__file__).parent / "static"


def digest() -> str:
    """Returns a short digest over all our files, so that a browser may keep them for ever."""
    sum_ = hashlib.sha256()
    for path in sorted(FOLDER.iterdir()):
        sum_.update(path.name.encode())
        sum_.update(path.read_bytes())
    return sum_.hexdigest()[:12]


@cache
def words_of_scripts() -> tuple[str, ...]:
    """Returns the texts that our scripts say, in English: ``hesperSay("…")``."""
    said = re.compile(r'hesperSay\("([^"]+)"')
    return tuple(
        sorted({text for path in FOLDER.glob("*.js") for text in said.findall(path.read_text())})
    )


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
        app.mount(self.path, Compressed(_KeptFiles(directory=FOLDER)), name="console-assets")

    def head(self, *scripts: str, tongue: Tongue) -> str:
        """Returns the head lines: words, icon, styles, theme before the first paint, scripts."""
        words = json.dumps({text: tongue.word(text) for text in words_of_scripts()})
        data = words.replace("<", "\\u003c")  # nothing in it may end the element
        font = f"{self.path}/inter-latin-wght-normal.woff2"
        lines = [
            f'<meta name="hesper-run" content="{self.run}">',
            f'<meta name="hesper-outline" content="{self.path}/outline.json">',
            f'<meta name="hesper-language" content="{tongue.tag}">',
            f'<meta name="hesper-numbers" content="{tongue.numbers}">',
            f'<meta name="hesper-units" content="{tongue.units}">',
            f'<script type="application/json" id="hesper-words">{data}</script>',
            f'<link rel="icon" href="{self.path}/star.svg" type="image/svg+xml">',
            f'<link rel="preload" href="{font}" as="font" type="font/woff2" crossorigin>',
            f'<link rel="stylesheet" href="{self.path}/console.css">',
            f'<script src="{self.path}/theme.js"></script>',
            *(f'<script defer src="{self.path}/{script}"></script>' for script in scripts),
        ]
        return "\n".join(lines)
