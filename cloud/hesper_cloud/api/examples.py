"""Examples of bodies, made from their schemas: a known field has a value of this trade."""

import re
from typing import Any

_KNOWN: dict[str, Any] = {
    "meter": "HES12642984",
    "old_meter": "HES12642984",
    "new_meter": "HES12642985",
    "gateway": "gw-1",
    "area": "North",
    "customer": "Ada Byron",
    "name": "North",
    "username": "ann",
    "reason": "unpaid since March",
    "serial_tail": "2984",
    "logical_name": "1.0.1.8.0.255",
    "profile": "1.0.99.1.0.255",
    "unit": 30,
    "symbol": "Wh",
    "value": 1_000_125,
    "severity": "warning",
    "idempotency_key": "6f1c2e",
}
_FORMATS: dict[str, Any] = {
    "date-time": "2026-11-20T12:00:00Z",
    "date": "2026-11-20",
    "password": "not-a-real-one",
    "uuid": "6f1c2e0a-5d3b-4b7e-9c1d-2a3b4c5d6e7f",
    "email": "ada@example.org",
    "uri": "https://example.org/",
}
_PLAIN = ("north", "1", "1.0.1.8.0.255", "0123456789abcdef", "ab" * 32, "2026-11-20", "12:00")
_DEEPEST = 12
_FEW = 6


class Examples:
    """Makes examples that hold by their schemas."""

    def __init__(self, schemas: dict[str, Any]) -> None:
        self._schemas = schemas

    def of(self, schema: dict[str, Any], name: str = "", depth: int = 0) -> Any:
        """Returns an example of a schema; `name` is the field that it is for."""
        if "$ref" in schema:
            return self.of(self._schemas[schema["$ref"].rsplit("/", 1)[-1]], name, depth + 1)
        for given in ("example", "default", "const"):
            if given in schema:
                return schema[given]
        if "examples" in schema:
            return schema["examples"][0]
        if "enum" in schema:
            return schema["enum"][0]
        for choice in ("anyOf", "oneOf"):
            if choice in schema:
                return self._first_that_says_something(schema[choice], name, depth)
        if "allOf" in schema:
            return self.of(schema["allOf"][0], name, depth)
        return self._of_type(schema, name, depth)

    def _first_that_says_something(self, choices: list[Any], name: str, depth: int) -> Any:
        worthy = [each for each in choices if each.get("type") != "null"]
        return self.of(worthy[0], name, depth) if worthy and depth < _DEEPEST else None

    def _of_type(self, schema: dict[str, Any], name: str, depth: int) -> Any:
        match schema.get("type"):
            case "object":
                return self._of_object(schema, depth)
            case "array":
                few = depth >= _FEW or "items" not in schema
                return [] if few else [self.of(schema["items"], name, depth + 1)]
            case "boolean":
                return True
            case "integer" | "number":
                return self._number(schema, name)
            case "string":
                return self._text(schema, name)
            case _:
                return None

    def _of_object(self, schema: dict[str, Any], depth: int) -> dict[str, Any]:
        fields = schema.get("properties", {})
        wanted = schema.get("required", ()) if depth >= _FEW else fields
        return {name: self.of(fields[name], name, depth + 1) for name in wanted}

    def _number(self, schema: dict[str, Any], name: str) -> Any:
        known = _KNOWN.get(name)
        least = schema.get("minimum", schema.get("exclusiveMinimum", 0) + 1)
        most = schema.get("maximum", max(least, known) if isinstance(known, int) else least)
        return known if isinstance(known, int) and least <= known <= most else min(least, most)

    def _text(self, schema: dict[str, Any], name: str) -> str:
        known = _FORMATS.get(schema.get("format", ""), _KNOWN.get(name))
        words = (known, name.replace("_", "-"), *_PLAIN)
        pattern = re.compile(schema.get("pattern", ""))
        fit = [each for each in words if isinstance(each, str) and pattern.search(each)]
        text = fit[0] if fit else str(words[1])
        shortest, longest = schema.get("minLength", 0), schema.get("maxLength", len(text))
        return text.ljust(shortest, "x")[: max(longest, 0)]
