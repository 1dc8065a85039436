"""Objects read, written and invoked by name and with types, through an open association.

read = yield from read_object(client, Clock, obis.CLOCK)
read.record.daylight_savings_enabled               # True, False or None
read.refused                                       # {"clock_base": ServiceError(…)}
yield from write_attribute(client, "clock:0.0.1.0.0.255:time_zone", -60)
yield from invoke(client, "register:1.0.1.8.0.255:reset")
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Generic, NamedTuple, TypeVar

from hesper_dlms.apdu import CosemAttribute
from hesper_dlms.association import ASSOCIATION_CLASS, CURRENT_ASSOCIATION
from hesper_dlms.axdr import Data
from hesper_dlms.classes.access import ObjectListElement
from hesper_dlms.classes.registry import by_id, of_record, parse_attribute, parse_method
from hesper_dlms.client.client import Client
from hesper_dlms.errors import DecodeError, RemoteError, ServiceError
from hesper_dlms.exchange import Exchange

Record = TypeVar("Record")

_OBJECT_LIST = CosemAttribute(ASSOCIATION_CLASS, CURRENT_ASSOCIATION, 2)


class ObjectRead(NamedTuple, Generic[Record]):
    """An object as it was read.

    record: the attributes; None where one is null-data or in `refused`.
    refused: by name, the attributes that the meter refused or that do not decode, and why.
    """

    record: Record
    refused: dict[str, RemoteError]


def read_object(
    client: Client, record: type[Record], logical_name: bytes, version: int | None = None
) -> Exchange[ObjectRead[Record]]:
    """Read all attributes of an object but buffers, in as few requests as the meter allows.

    Args:
        client: With an open association.
        record: The class, such as `hesper_dlms.classes.scheduling.Clock`.
        logical_name: Of the object.
        version: Of the class; the newest by default, whose attributes an old meter refuses.
    """
    described = of_record(record, version)
    wanted = [each for each in described.attributes[1:] if each.name != "buffer"]
    numbers = (each.attribute_id for each in wanted)
    answers = yield from client.get_many(
        [CosemAttribute(described.class_id, logical_name, number) for number in numbers]
    )
    values: dict[str, Any] = {}
    refused: dict[str, RemoteError] = {}
    for attribute, answer in zip(wanted, answers, strict=True):
        try:
            if isinstance(answer, ServiceError):
                raise answer
            values[attribute.name] = described.decode(attribute.name, answer)
        except (DecodeError, ServiceError) as error:
            refused[attribute.name] = error
    build: Callable[..., Record] = record
    return ObjectRead(build(logical_name, **values), refused)


def read_attribute(client: Client, name: str) -> Exchange[Any]:
    """Read one attribute named `class:obis:attribute` as its typed value.

    Raises:
        LocalError: No such attribute.
        DecodeError: The value is not of the attribute's type.
        ServiceError: The meter refuses.
    """
    attribute = parse_attribute(name)
    data = yield from client.get(attribute)
    return by_id(attribute.class_id).decode(attribute.attribute_id, data)


def write_attribute(client: Client, name: str, value: Any) -> Exchange[None]:
    """Write a typed value to the attribute named `class:obis:attribute`.

    Raises:
        LocalError: No such attribute, or the value is not of its type.
        ServiceError: The meter refuses.
    """
    attribute = parse_attribute(name)
    data = by_id(attribute.class_id).encode(attribute.attribute_id, value)
    yield from client.set(attribute, data)


def invoke(client: Client, name: str, parameters: Any = None) -> Exchange[Data | None]:
    """Invoke the method named `class:obis:method`; return what it returns.

    Raises:
        LocalError: No such method, or the parameters are not of its type.
        ServiceError: The meter refuses.
    """
    method = parse_method(name)
    data = by_id(method.class_id).method(method.method_id).encode(parameters)
    return (yield from client.action(method, data))


def read_object_list(client: Client) -> Exchange[tuple[ObjectListElement, ...]]:
    """Read the association view: the objects, and what this association may do with each.

    Raises:
        DecodeError: It is none.
        ServiceError: The meter refuses.
    """
    data = yield from client.get(_OBJECT_LIST)
    listed: tuple[ObjectListElement, ...] = by_id(ASSOCIATION_CLASS).decode("object_list", data)
    return listed
