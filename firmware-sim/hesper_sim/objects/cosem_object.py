"""What a COSEM object of a simulated meter is made of; all meters share one table of them.

An attribute is either computed by a reader or a *setting*: it has a default, can be written by
whoever may, must keep its default's type when it is, and is remembered in the journal. A meter
that nobody wrote to costs nothing.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final, Protocol

from hesper_dlms import axdr
from hesper_dlms.apdu import AccessSelection, ActionResult, DataAccessResult
from hesper_dlms.errors import ServiceError

from hesper_sim.district import District
from hesper_sim.meter import Meter

if TYPE_CHECKING:
    from hesper_dlms.server import ClientRole

DATA, REGISTER, EXTENDED_REGISTER, DEMAND_REGISTER = 1, 3, 4, 5
REGISTER_ACTIVATION, PROFILE_GENERIC, CLOCK, SCRIPT_TABLE = 6, 7, 8, 9
SPECIAL_DAYS, ASSOCIATION_LN, SAP_ASSIGNMENT, IMAGE_TRANSFER = 11, 15, 17, 18
ACTIVITY_CALENDAR, REGISTER_MONITOR, SINGLE_ACTION_SCHEDULE = 20, 21, 22
AUTO_CONNECT, PUSH_SETUP, TCP_UDP_SETUP, IPV4_SETUP, GPRS_SETUP, GSM_DIAGNOSTIC = (
    29,
    40,
    41,
    42,
    45,
    47,
)
SECURITY_SETUP, DISCONNECT_CONTROL, LIMITER, MBUS_CLIENT = 64, 70, 71, 72

NOTHING: Final = axdr.encode(axdr.null_data())


class Subject(Protocol):
    """Whose attribute is read, and by whom."""

    @property
    def district(self) -> District:
        """Where the meter stands."""
        ...

    @property
    def meter(self) -> Meter:
        """The meter."""
        ...

    @property
    def client(self) -> int:
        """The address of the client that is being served."""
        ...

    @property
    def clients(self) -> Mapping[int, ClientRole]:
        """Every client of the meter."""
        ...

    @property
    def last_received_counter(self) -> int:
        """The highest invocation counter that was accepted from a client."""
        ...


Reader = Callable[[Subject, AccessSelection | None], bytes]
Writer = Callable[[Subject, bytes], None]
Method = Callable[[Subject, bytes | None], bytes | None]


@dataclass(frozen=True, slots=True)
class CosemObject:
    """One object.

    Args:
        class_id: Interface class.
        logical_name: Six octets.
        version: Version of the interface class.
        readers: Computed attributes.
        settings: Encoded defaults of the attributes that are kept.
        fixed: Settings that nobody may write.
        writers: Attributes whose writing does more than to keep the value.
        methods: What can be invoked.
    """

    class_id: int
    logical_name: bytes
    version: int = 0
    readers: Mapping[int, Reader] = field(default_factory=dict)
    settings: Mapping[int, bytes] = field(default_factory=dict)
    fixed: frozenset[int] = frozenset()
    writers: Mapping[int, Writer] = field(default_factory=dict)
    methods: Mapping[int, Method] = field(default_factory=dict)

    @property
    def attributes(self) -> list[int]:
        """The ids of all attributes but the logical name, ascending."""
        return sorted({*self.readers, *self.settings})

    def is_writable(self, attribute_id: int) -> bool:
        """Return whether an attribute can be written by somebody."""
        kept = attribute_id in self.settings and attribute_id not in self.fixed
        return kept or attribute_id in self.writers

    def get(
        self, subject: Subject, attribute_id: int, selection: AccessSelection | None = None
    ) -> bytes:
        """Return an attribute's encoded value; ServiceError when there is none."""
        reader = self.readers.get(attribute_id)
        if reader is not None:
            return reader(subject, selection)
        if attribute_id == 1:
            return axdr.encode(axdr.octet_string(self.logical_name))
        default = self.settings.get(attribute_id)
        if default is None:
            raise ServiceError(DataAccessResult.OBJECT_UNAVAILABLE)
        return self.setting(subject, attribute_id) or default

    def setting(self, subject: Subject, attribute_id: int) -> bytes | None:
        """Return what was written to a setting; None while it has its default."""
        key = (self.class_id, self.logical_name, attribute_id)
        return subject.district.written(subject.meter, key)

    def set(self, subject: Subject, attribute_id: int, octets: bytes) -> None:
        """Write an attribute; ServiceError when it cannot be, or not with this value."""
        if attribute_id != 1 and attribute_id not in {*self.readers, *self.settings}:
            raise ServiceError(DataAccessResult.OBJECT_UNAVAILABLE)
        if not self.is_writable(attribute_id):
            raise ServiceError(DataAccessResult.READ_WRITE_DENIED)
        writer = self.writers.get(attribute_id)
        if writer is not None:
            writer(subject, octets)
            return
        if not same_type(axdr.decode(self.settings[attribute_id]), axdr.decode(octets)):
            raise ServiceError(DataAccessResult.TYPE_UNMATCHED)
        self.keep(subject, attribute_id, octets)

    def keep(self, subject: Subject, attribute_id: int, octets: bytes) -> None:
        """Remember the value of a setting, whoever changes it."""
        key = (self.class_id, self.logical_name, attribute_id)
        subject.district.write(subject.meter, key, octets)

    def invoke(self, subject: Subject, method_id: int, parameters: bytes | None) -> bytes | None:
        """Carry a method out; ServiceError when there is none."""
        method = self.methods.get(method_id)
        if method is None:
            raise refused(ActionResult.OBJECT_UNAVAILABLE)
        return method(subject, parameters)


def refused(code: ActionResult) -> ServiceError:
    """Return the refusal of a method."""
    return ServiceError(code, "action-result")


def same_type(default: axdr.Data, given: axdr.Data) -> bool:
    """Return whether a value may take the place of another: tags alike, arrays of any length."""
    if default.tag is not given.tag:
        return False
    if default.tag is axdr.Tag.STRUCTURE:
        before, after = default.as_items(), given.as_items()
        return len(before) == len(after) and all(
            same_type(a, b) for a, b in zip(before, after, strict=True)
        )
    if default.tag is axdr.Tag.ARRAY and default.as_items():
        first = default.as_items()[0]
        return all(same_type(first, item) for item in given.as_items())
    return True


def encoded(**attributes: axdr.Data) -> dict[int, bytes]:
    """Return settings from keyword arguments `a2=…`, `a3=…`."""
    return {int(name[1:]): axdr.encode(value) for name, value in attributes.items()}


def computed(value: Callable[[Subject], axdr.Data]) -> Reader:
    """Return a reader that encodes what a function returns."""
    return lambda subject, _selection: axdr.encode(value(subject))


def fixed(value: axdr.Data) -> Reader:
    """Return a reader of a value that never changes."""
    octets = axdr.encode(value)
    return lambda _subject, _selection: octets


def data(logical_name: bytes, value: Callable[[Subject], axdr.Data]) -> CosemObject:
    """Return a data object (class 1) with a computed value."""
    return CosemObject(DATA, logical_name, readers={2: computed(value)})
