"""The client of one meter: associate, read, write, invoke, release (IEC 62056-5-3, clause 6).

    CLOSED --connect: SNRM/UA, AARQ/AARE [, challenges]--> ASSOCIATED
    ASSOCIATED --release: RLRQ/RLRE, DISC/UA--> CLOSED

Every method is an exchange (see `hesper_dlms.exchange`). After a `LinkError` or `SecurityError` the
association is not to be trusted any more: release and connect again. A refused service leaves it
usable. Answers are matched by their invoke-id; one that belongs to an older request is passed over.
"""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress
from enum import Enum, auto

from hesper_dlms import apdu, axdr
from hesper_dlms.apdu import (
    AccessSelection,
    Conformance,
    CosemAttribute,
    CosemMethod,
    Selector,
    VariableAccess,
    VariableName,
)
from hesper_dlms.axdr import Data
from hesper_dlms.client import transfer
from hesper_dlms.client.associate import Associated, associate, released
from hesper_dlms.client.channel import Channel, Notification
from hesper_dlms.client.settings import AssociationSettings
from hesper_dlms.client.short_names import ShortNameServices
from hesper_dlms.errors import DecodeError, LocalError, RemoteError, ServiceError
from hesper_dlms.exchange import ClientLink, Exchange
from hesper_dlms.security import Protection
from hesper_dlms.short_names import ShortNames

Selection = Selector | AccessSelection
_WITH_LIST_ITEM = 10
_WITH_LIST_HEAD = 6


class State(Enum):
    """Where the client is."""

    CLOSED = auto()
    ASSOCIATED = auto()


class Client:
    """One client's association with one meter.

    Args:
        link: `WrapperLink` or `HdlcLink`.
        settings: Authentication, keys and limits.
    """

    def __init__(self, link: ClientLink, settings: AssociationSettings) -> None:
        self._channel = Channel(link, settings)
        self._settings = settings
        self._short: ShortNameServices | None = None
        if settings.short_names:
            self._short = ShortNameServices(self._channel, settings.base_names)
        self.state = State.CLOSED
        self.association: Associated | None = None

    def connect(self) -> Exchange[None]:
        """Open link and association.

        Raises:
            AssociationRejected: The meter refused us: back off, check credentials.
            InvocationCounterError: Read the meter's counter, then try once more.
            SecurityError, DecodeError, LinkError: See there.
        """
        self.state = State.CLOSED
        yield from self._channel.link.connect()
        self.association = yield from associate(self._channel)
        self.state = State.ASSOCIATED

    def release(self) -> Exchange[None]:
        """Close association and link; what the meter answers does not matter any more."""
        if self.state is State.ASSOCIATED:
            self.state = State.CLOSED
            with suppress(RemoteError):
                yield from released(self._channel)
        yield from self._channel.link.disconnect()

    def get(self, attribute: CosemAttribute, selector: Selection | None = None) -> Exchange[Data]:
        """Read one attribute; ServiceError when the meter refuses."""
        return axdr.decode((yield from self.get_octets(attribute, selector)))

    def get_octets(
        self, attribute: CosemAttribute, selector: Selection | None = None
    ) -> Exchange[bytes]:
        """Read one attribute as encoded octets, in blocks where the meter sends blocks."""
        self._require_association()
        if self._short is not None:
            result = yield from self._short.read(attribute, _selection(selector))
        else:
            result = yield from transfer.read(self._channel, attribute, _selection(selector))
        if isinstance(result, int):
            raise apdu.access_error(result)
        return result

    def get_many(self, attributes: Sequence[CosemAttribute]) -> Exchange[list[Data | ServiceError]]:
        """Read several attributes, in as few requests as the meter allows.

        Returns:
            For each attribute, in order, its value or why there is none.
        """
        self._require_association()
        values: list[Data | ServiceError] = []
        size = self._with_list_size()
        for at in range(0, len(attributes), size):
            some = attributes[at : at + size]
            if self._short is not None:
                results = yield from self._short.read_list([(each, None) for each in some])
            elif len(some) == 1:
                results = [(yield from transfer.read(self._channel, some[0], None))]
            else:
                results = yield from transfer.read_list(self._channel, some)
            values += [_value(result) for result in results]
        return values

    def set(self, attribute: CosemAttribute, data: Data) -> Exchange[None]:
        """Write one attribute, in blocks where the meter's limit asks for them."""
        self._require_association()
        octets = axdr.encode(data)
        if self._short is not None:
            code = yield from self._short.write(attribute, octets)
        else:
            code = yield from transfer.write(self._channel, attribute, octets)
        if code != apdu.DataAccessResult.SUCCESS:
            raise apdu.access_error(code)

    def action(self, method: CosemMethod, data: Data | None = None) -> Exchange[Data | None]:
        """Invoke a method; return what it returns, None when nothing."""
        self._require_association()
        octets = None if data is None else axdr.encode(data)
        if self._short is not None:
            returned = yield from self._short.invoke(method, octets)
        else:
            returned = yield from transfer.invoke(self._channel, method, octets)
        return None if returned is None else axdr.decode(returned)

    def short_names(self) -> Exchange[ShortNames]:
        """Return the meter's short names: its association view, read once, or the given table."""
        return (yield from self._require_short_names().names())

    def read_short(self, accesses: Sequence[VariableAccess]) -> Exchange[list[apdu.Result]]:
        """Read variables by short name; for each its octets or the data-access-result."""
        return (yield from self._require_short_names().read_names(accesses))

    def write_short(self, names: Sequence[int], values: Sequence[Data]) -> Exchange[list[int]]:
        """Write variables by short name; for each the data-access-result."""
        accesses = [VariableName(name) for name in names]
        octets = [axdr.encode(value) for value in values]
        return (yield from self._require_short_names().write_names(accesses, octets))

    @property
    def protection(self) -> Protection | None:
        """How APDUs leave in a ciphered association; None as the security settings say.

        May be changed from one request to the next; the meter answers in kind.
        """
        return self._channel.protection

    @protection.setter
    def protection(self, protection: Protection | None) -> None:
        self._channel.protection = protection

    def take_notifications(self) -> list[Notification]:
        """Return and forget what the meter sent unasked since the last call, oldest first."""
        return self._channel.take_notifications()

    def _require_association(self) -> None:
        if self.state is not State.ASSOCIATED:
            raise LocalError("there is no association: connect first")

    def _require_short_names(self) -> ShortNameServices:
        self._require_association()
        if self._short is None:
            raise LocalError("the association uses logical names")
        return self._short

    def _with_list_size(self) -> int:
        granted = self.association.conformance if self.association else Conformance(0)
        if not granted & Conformance.MULTIPLE_REFERENCES:
            return 1
        fits = (self._channel.limit - _WITH_LIST_HEAD) // _WITH_LIST_ITEM
        return max(1, min(self._settings.with_list_limit, fits))


def _selection(selector: Selection | None) -> AccessSelection | None:
    if selector is None or isinstance(selector, AccessSelection):
        return selector
    return selector.to_selection()


def _value(result: apdu.Result) -> Data | ServiceError:
    if isinstance(result, int):
        return apdu.access_error(result)
    try:
        return axdr.decode(result)
    except DecodeError:
        return apdu.access_error(apdu.DataAccessResult.OTHER_REASON)
