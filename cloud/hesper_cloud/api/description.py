"""The API's own description (OpenAPI 3.1): stable operation ids, examples, problems, who may ask.

FastAPI makes the skeleton out of the routes. What is added here is what every route shares: how to
log in, the problem document that every error is, the headers of answers and of POSTs, and an
example of each body, so that a reader sees values and not only types.
"""

import re
from collections.abc import Collection
from typing import Any

from fastapi import FastAPI

from hesper_cloud.accounts.cookies import COOKIE
from hesper_cloud.api.examples import Examples
from hesper_cloud.api.idempotency import HEADER

PREFIX = "/api/v1"
_JSON = "application/json"
_PROBLEM = "application/problem+json"
_SECURITY = {
    "bearer": {"type": "http", "scheme": "bearer", "description": "Programs: a token"},
    "cookie": {"type": "apiKey", "in": "cookie", "name": COOKIE, "description": "Browsers"},
}
_PROBLEM_SCHEMA = {
    "title": "Problem",
    "type": "object",
    "description": "What went wrong (RFC 9457).",
    "required": ["type", "title", "status", "detail"],
    "properties": {
        "type": {"type": "string", "format": "uri-reference"},
        "title": {"type": "string"},
        "code": {"type": "string", "description": "its sort, for programs"},
        "reason": {"type": "string", "description": "the words of the sentence, for programs"},
        "values": {"type": "object", "description": "what the sentence names"},
        "status": {"type": "integer"},
        "detail": {"type": "string"},
        "request_id": {"type": "string"},
        "errors": {
            "type": "array",
            "items": {
                "type": "object",
                "properties": {"at": {"type": "string"}, "detail": {"type": "string"}},
            },
        },
    },
}
_KEY = {
    "name": HEADER,
    "in": "header",
    "required": False,
    "schema": {"type": "string", "maxLength": 128},
    "description": "The same key within a day is the same request; it is carried out once.",
}
_WORDS = re.compile(r"[A-Za-z0-9]+")
_ABOUT = """Head end of smart meters: readings, assets, commands, alerts.

Lists take `limit`, `cursor` and `sort` where they say so, and name the next page in `Link`. Every
GET has an `ETag`. Every POST takes an `Idempotency-Key`. Every error is a problem document.
"""


def operation_id(method: str, path: str) -> str:
    """Returns an operation's id: of its method and address, which are promised."""
    words = [
        f"by_{part[1:-1]}" if part.startswith("{") else part
        for part in path.removeprefix(PREFIX).split("/")
        if part
    ]
    return "_".join([method, *words]).replace("-", "_").replace(".", "_").replace(":", "_")


def install(app: FastAPI, without_account: Collection[str]) -> None:
    """Makes the application describe itself so; the description is made once.

    Args:
        app: The application, with its routes.
        without_account: Paths under the prefix that may be asked without logging in.
    """
    skeleton = app.openapi
    done: list[dict[str, Any]] = []

    def described() -> dict[str, Any]:
        if not done:
            done.append(_complete(skeleton(), without_account))
        return done[0]

    app.openapi = described  # type: ignore[method-assign]


def methods_of(document: dict[str, Any], path: str) -> list[str]:
    """Returns the methods that an address takes; none where there is no such address."""
    found = {
        method.upper()
        for template, methods in document["paths"].items()
        if _looks_like(template, path)
        for method in methods
    }
    return sorted(found)


def _looks_like(template: str, path: str) -> bool:
    parts, said = template.split("/"), path.split("/")
    return len(parts) == len(said) and all(
        part == word or (part.startswith("{") and word != "")
        for part, word in zip(parts, said, strict=True)
    )


def _complete(document: dict[str, Any], without_account: Collection[str]) -> dict[str, Any]:
    document["info"]["description"] = _ABOUT
    components = document.setdefault("components", {})
    components["securitySchemes"] = _SECURITY
    schemas = components.setdefault("schemas", {})
    for not_ours in ("HTTPValidationError", "ValidationError"):
        schemas.pop(not_ours, None)
    schemas["Problem"] = _PROBLEM_SCHEMA
    for name, schema in schemas.items():  # clients name their classes so, and each has its own
        schema["title"] = "".join(word[:1].upper() + word[1:] for word in _WORDS.findall(name))
    examples = Examples(schemas)
    for path, methods in document["paths"].items():
        ours = path.startswith(PREFIX)
        for method, operation in methods.items():
            operation["operationId"] = operation_id(method, path)
            if ours and path.removeprefix(PREFIX) not in without_account:
                operation["security"] = [{"bearer": []}, {"cookie": []}]
            _complete_operation(operation, method, examples)
    return document


def _complete_operation(operation: dict[str, Any], method: str, examples: Examples) -> None:
    responses = operation["responses"]
    responses.pop("422", None)
    for status in ("4XX", "5XX"):
        content = {_PROBLEM: {"schema": {"$ref": "#/components/schemas/Problem"}}}
        responses[status] = {"description": "Why not", "content": content}
    parameters = operation.setdefault("parameters", [])
    if method == "post" and not any(each["name"] == HEADER for each in parameters):
        parameters.append(_KEY)
    for body in (operation.get("requestBody"), *responses.values()):
        content = (body or {}).get("content", {}).get(_JSON)
        if content and content.get("schema"):
            content.setdefault("example", examples.of(content["schema"]))
