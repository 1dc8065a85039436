"""Every route of the API as a call, with parameters and a body that its own description allows."""

from collections.abc import Iterator, Mapping
from functools import cache
from types import MappingProxyType
from typing import Any

import httpx
from hesper_cloud.api.application import create_app
from hesper_cloud.settings import Settings

PREFIX = "/api/v1"
WORTH = {  # what a parameter of a name or format must look like to come past the door
    **dict.fromkeys(("from", "since"), "2026-11-19T00:00:00Z"),
    **dict.fromkeys(("to", "until"), "2026-11-20T00:00:00Z"),
    "date-time": "2026-11-19T00:00:00Z",
    "date": "2026-11-19",
    "month": "2026-10-01",
    "verb": "approve",
    "image_hash": "ab" * 32,
    "import_id": "ab" * 16,
    "engaged": True,
    "sender": "hes@utility.example",
    "recipients": ["shift@utility.example"],
    "logical_name": "1.0.1.8.0.255",
}


@cache
def described() -> dict[str, Any]:
    """The API's description, which takes a second to make and is the same for every head end."""
    return create_app(None, Settings()).openapi()  # type: ignore[arg-type] - nothing is asked


class Call:
    """One route, with parameters and a body that its description allows.

    ``given`` are values for parameters by their names, for those that need not be there as well.
    """

    def __init__(
        self,
        document: dict[str, Any],
        path: str,
        method: str,
        given: Mapping[str, Any] = MappingProxyType({}),
    ) -> None:
        self._given = given
        self._schemas = document["components"]["schemas"]
        route = document["paths"][path][method]
        self.method, self.path = method, path
        self.query: dict[str, Any] = {}
        self.headers = {"Idempotency-Key": f"{method} {path}"}
        for parameter in route.get("parameters", ()):
            worth = self._example(parameter["schema"], parameter["name"])
            if parameter["in"] == "path":
                self.path = self.path.replace(f"{{{parameter['name']}}}", str(worth))
            elif parameter["in"] == "query" and (
                parameter.get("required") or parameter["name"] in given
            ):
                self.query[parameter["name"]] = worth
        content = route.get("requestBody", {}).get("content", {})
        schema = content.get("application/json", {}).get("schema")
        self.body = self._example(schema, "") if schema else None

    async def status(self, client: httpx.AsyncClient, token: str = "") -> int:
        """Makes the call and returns the status of its answer."""
        return (await self.answer(client, token)).status_code

    async def answer(self, client: httpx.AsyncClient, token: str = "") -> httpx.Response:
        """Makes the call and returns its answer."""
        client.cookies.clear()
        headers = self.headers | ({"Authorization": f"Bearer {token}"} if token else {})
        sent = {"json": self.body} if self.body is not None else {}
        return await client.request(
            self.method, self.path, params=self.query, headers=headers, **sent
        )

    def _example(self, schema: dict[str, Any], name: str) -> Any:
        if name in self._given:
            return self._given[name]
        if "$ref" in schema:
            return self._example(self._schemas[schema["$ref"].rsplit("/", 1)[-1]], name)
        for choice in ("anyOf", "oneOf", "allOf"):
            if choice in schema:
                return self._example(schema[choice][0], name)
        if "enum" in schema or "const" in schema:
            return WORTH[name] if WORTH.get(name) in schema.get("enum", ()) else _first(schema)
        worth = WORTH.get(name, WORTH.get(schema.get("format", "")))
        if worth is None and schema.get("examples"):
            worth = schema["examples"][0]
        return worth if worth is not None else self._of_type(schema)

    def _of_type(self, schema: dict[str, Any]) -> Any:
        match schema.get("type"):
            case "object":
                wanted = set(schema.get("required", ()))
                told = schema.get("properties", {})
                wanted |= {name for name, each in told.items() if "const" in each}
                return {name: self._example(told[name], name) for name in sorted(wanted)}
            case "array":
                return [self._example(schema["items"], "")] * schema.get("minItems", 0)
            case "integer" | "number":
                return schema.get("minimum", 1)
            case "boolean":
                return False
            case _:
                return "x" * max(1, schema.get("minLength", 1))


def _first(schema: dict[str, Any]) -> Any:
    return schema["const"] if "const" in schema else schema["enum"][0]


def routes(
    document: dict[str, Any], given: Mapping[str, Any] = MappingProxyType({})
) -> Iterator[tuple[str, Call]]:
    """Yields every route by name, as a call."""
    for path, methods in document["paths"].items():
        if path.startswith(PREFIX):
            for method in methods:
                name = f"{method.upper()} {path.removeprefix(PREFIX)}"
                yield name, Call(document, path, method, given)
