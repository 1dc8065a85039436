"""What `write` and `invoke` are told: targets, values, and which of them need a second thought."""

from __future__ import annotations

import re
from typing import NamedTuple

from hesper_dlms.apdu import CosemAttribute, CosemMethod
from hesper_dlms.axdr import Data
from hesper_dlms.classes import registry
from hesper_dlms.errors import LocalError

from hesper_gateway.desk.dangers import of_method, of_write
from hesper_gateway.desk.values import HOW, TYPES, bare_value, parse_value

_EQUALS = "="
_EXAMPLE = "8:0.0.1.0.0.255:2=now"
_TYPED = re.compile(rf"\s*({'|'.join(map(re.escape, (*TYPES, 'null', 'axdr')))})\s*[:(]")


class Write(NamedTuple):
    """One attribute and what to write to it."""

    attribute: CosemAttribute
    data: Data

    @property
    def danger(self) -> str | None:
        """What it may do that should not happen by mistake."""
        return of_write(self.attribute)


class Invocation(NamedTuple):
    """One method and its parameters."""

    method: CosemMethod
    data: Data

    @property
    def danger(self) -> str | None:
        """What it does that should not happen by mistake."""
        return of_method(self.method)


def parse_write(text: str, type_name: str | None) -> Write:
    """Return what `CLASS:OBIS:ATTRIBUTE=VALUE` says to write.

    Raises:
        LocalError: It says nothing, or the value does not fit; the message teaches how.
    """
    target, equals, value = text.partition(_EQUALS)
    if not equals:
        raise LocalError(
            f"{text!r} has no value: write CLASS:OBIS:ATTRIBUTE=VALUE, e.g. {_EXAMPLE}"
        )
    attribute = registry.parse_attribute(target)
    return Write(attribute, _value_for(attribute, value, type_name))


def parse_invocation(text: str, type_name: str | None) -> Invocation:
    """Return what `CLASS:OBIS:METHOD[=VALUE]` says to invoke; integer(0) without a value."""
    target, equals, value = text.partition(_EQUALS)
    method = registry.parse_method(target)
    if equals:
        return Invocation(method, _typed(value, type_name, HOW))
    try:
        described = registry.by_id(method.class_id).method(method.method_id)
    except LocalError:
        return Invocation(method, parse_value("integer:0"))
    if described.parameters is not None and described.parameters.name != "integer":
        kind = described.parameters.name
        raise LocalError(f"{described.name} takes a parameter ({kind}): {target}=VALUE; {HOW}")
    return Invocation(method, parse_value("integer:0"))


def _value_for(attribute: CosemAttribute, text: str, type_name: str | None) -> Data:
    """Return the value with its type as written, else with the type of the attribute."""
    if type_name is not None or _TYPED.match(text):
        return parse_value(text, type_name)
    try:
        described = registry.by_id(attribute.class_id)
        return described.encode(attribute.attribute_id, bare_value(text))
    except (LocalError, TypeError, AttributeError) as error:
        raise LocalError(f"the type of {text!r} is not known here ({error}): {HOW}") from None


def _typed(text: str, type_name: str | None, how: str) -> Data:
    if type_name is None and not _TYPED.match(text):
        raise LocalError(f"{text!r} has no type: {how}")
    return parse_value(text, type_name)
