"""A typed Python client of the REST API, generated from the API's own description."""

import json
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any, Final, cast

from hesper_cloud.api.application import create_app
from hesper_cloud.services.bundle import Services
from hesper_cloud.settings import Settings

PACKAGE: Final = "hesper_client"
_AS_OCTETS: Final = ("text/csv", "text/plain", "application/x-ndjson")
_STRICTLY: Final = "--fail-on-warning"
_TIMEOUT_S: Final = 300


class NotGenerated(Exception):
    """The generator does not run, or leaves part of the description out; the text is its own."""


def description() -> dict[str, Any]:
    """Return the API's description (OpenAPI) as a head end of this version serves it."""
    nobody = cast("Services", None)  # the routes are described, not asked
    return create_app(nobody, Settings()).openapi()


def generate(out: Path) -> Path:
    """Write the package ``hesper_client`` into a folder, in the place of an older one.

    Raises:
        NotGenerated: see there.
    """
    package = out / PACKAGE
    out.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix="hesper-client-") as name:
        folder = Path(name)
        document = description()
        (folder / "openapi.json").write_text(json.dumps(document), encoding="utf-8")
        overrides = dict.fromkeys({*_AS_OCTETS, *_files(document)}, "application/octet-stream")
        config = json.dumps({"content_type_overrides": overrides, "post_hooks": []})
        (folder / "config.json").write_text(config, encoding="utf-8")
        _run(folder, folder / PACKAGE)
        _widen(folder / PACKAGE / "client.py")
        shutil.rmtree(package, ignore_errors=True)
        shutil.move(folder / PACKAGE, package)
    return package


def _files(document: dict[str, Any]) -> set[str]:
    """Return the media types that are files: neither JSON nor forms."""
    return {
        media_type
        for methods in document["paths"].values()
        for operation in methods.values()
        for body in (operation.get("requestBody", {}), *operation["responses"].values())
        for media_type in body.get("content", {})
        if "json" not in media_type and "form" not in media_type
    }


def _run(folder: Path, package: Path) -> None:
    program = Path(sys.executable).with_name("openapi-python-client")
    if not program.exists():
        raise NotGenerated("openapi-python-client is missing; ./hesper setup installs it")
    words = ["--path", str(folder / "openapi.json"), "--config", str(folder / "config.json")]
    done = subprocess.run(
        [program, "generate", *words, "--meta", "none", "--output-path", package, _STRICTLY],
        capture_output=True, text=True, check=False, timeout=_TIMEOUT_S,
    )  # fmt: skip
    if done.returncode:
        raise NotGenerated((done.stdout + done.stderr).strip())


def _widen(module: Path) -> None:
    """Let the generated context managers pass type checks: they hand their arguments on."""
    text = module.read_text(encoding="utf-8")
    module.write_text(text.replace("*args: object", "*args: Any"), encoding="utf-8")
