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
    SelectedAttribute,
    Selector,
    VariableAccess,
    VariableName,
)
from hesper_dlms.axdr import Data
from hesper_dlms.client.access import AccessSpecification, AccessValue, access
from hesper_dlms.client.associate import Associated, associate, released
from hesper_dlms.client.channel import Channel, Notification
from hesper_dlms.client.lists import LIST_HEAD, batches
from hesper_dlms.client.logical_names import LogicalNameServices
from hesper_dlms.client.settings import AssociationSettings
from hesper_dlms.client.short_names import ShortNameServices
from hesper_dlms.errors import DecodeError, LocalError, RemoteError, ServiceError
from hesper_dlms.exchange import ClientLink, Exchange
from hesper_dlms.security import Protection
from hesper_dlms.short_names import ShortNames

Selection = Selector | AccessSelection
SelectorOf = tuple[CosemAttribute, Selection | None]
"""An attribute and what to read of it."""


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
        self._long = LogicalNameServices(self._channel, settings.with_list_limit)
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
        self._channel.agree(Conformance(0))
        yield from self._channel.link.connect()
        self.association = yield from associate(self._channel)
        self._channel.agree(self.association.conformance)
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
            result = yield from self._long.read(attribute, _selection(selector))
        if isinstance(result, int):
            raise apdu.access_error(result)
        return result

    def get_many(
        self, attributes: Sequence[CosemAttribute | SelectorOf]
    ) -> Exchange[list[Data | ServiceError]]:
        """Read several attributes, in as few requests as the meter allows.

        Args:
            attributes: Attributes, or pairs of an attribute and its own selector.

        Returns:
            For each attribute, in order, its value or why there is none.
        """
        self._require_association()
        asked = [_selected(each) for each in attributes]
        if self._short is None:
            results = yield from self._long.read_list(asked)
        else:
            results = []
            sizes = [_short_size(selection) for _, selection in asked]
            for part in self._short_parts(sizes, Conformance.BLOCK_TRANSFER_WITH_GET):
                results += yield from self._short.read_list(asked[part])
        return [_value(result) for result in results]

    def set(
        self, attribute: CosemAttribute, data: Data, selector: Selection | None = None
    ) -> Exchange[None]:
        """Write one attribute, or what a selector takes of it, in blocks where it is too long."""
        self._require_association()
        octets = axdr.encode(data)
        if self._short is None:
            code = yield from self._long.write(attribute, octets, _selection(selector))
        elif selector is not None:
            raise LocalError("short names write whole attributes")
        else:
            code = yield from self._short.write(attribute, octets)
        if code != apdu.DataAccessResult.SUCCESS:
            raise apdu.access_error(code)

    def set_many(
        self, attributes: Sequence[CosemAttribute], values: Sequence[Data]
    ) -> Exchange[list[ServiceError | None]]:
        """Write several attributes, in as few requests as the meter allows.

        Returns:
            For each attribute, in order, None where it was written or why it was not.
        """
        self._require_association()
        if len(attributes) != len(values):
            raise LocalError(f"{len(attributes)} attributes and {len(values)} values")
        octets = [axdr.encode(value) for value in values]
        if self._short is None:
            codes = yield from self._long.write_list([(each, None) for each in attributes], octets)
        else:
            codes = []
            sizes = [_short_size(None) + len(each) for each in octets]
            for part in self._short_parts(sizes, Conformance.BLOCK_TRANSFER_WITH_SET):
                codes += yield from self._short.write_list(attributes[part], octets[part])
        return [apdu.access_error(code) if code else None for code in codes]

    def action(self, method: CosemMethod, data: Data | None = None) -> Exchange[Data | None]:
        """Invoke a method; return what it returns, None when nothing."""
        self._require_association()
        octets = None if data is None else axdr.encode(data)
        services = self._long if self._short is None else self._short
        returned = yield from services.invoke(method, octets)
        return None if returned is None else axdr.decode(returned)

    def action_many(
        self, methods: Sequence[CosemMethod], parameters: Sequence[Data | None]
    ) -> Exchange[list[Data | ServiceError | None]]:
        """Invoke several methods in order, in as few requests as the meter allows.

        Returns:
            For each method what it returned, None when nothing, or why it failed.
        """
        self._require_association()
        if len(methods) != len(parameters):
            raise LocalError(f"{len(methods)} methods and {len(parameters)} parameters")
        octets = [None if data is None else axdr.encode(data) for data in parameters]
        services = self._long if self._short is None else self._short
        results = yield from services.invoke_list(methods, octets)
        return [_value(each) if isinstance(each, bytes) else each for each in results]

    def access(
        self,
        specifications: Sequence[AccessSpecification],
        *,
        break_on_error: bool = False,
        self_descriptive: bool = False,
    ) -> Exchange[list[AccessValue]]:
        """Read, write and invoke in the given order, in one ACCESS where the meter granted it.

        Args:
            specifications: What to do.
            break_on_error: Leave out what comes behind the first failure; that is other-reason.
            self_descriptive: The response shall repeat the request, and is checked against it.

        Returns:
            For each what was read or returned, None when nothing, or why it failed.
        """
        self._require_association()
        if self._short is not None:
            raise LocalError("ACCESS knows logical names only")
        return (
            yield from access(
                self._channel,
                specifications,
                break_on_error=break_on_error,
                self_descriptive=self_descriptive,
            )
        )

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

    def tell_short(self, names: Sequence[int], values: Sequence[Data]) -> Exchange[None]:
        """Write variables by short name without an answer: whether it worked is not known."""
        accesses = [VariableName(name) for name in names]
        octets = [axdr.encode(value) for value in values]
        yield from self._require_short_names().tell_names(accesses, octets)

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

    def _short_parts(self, sizes: list[int], blocks: Conformance) -> list[slice]:
        """Return which items of a list go into one request by short names."""
        granted = self._channel.granted & Conformance.MULTIPLE_REFERENCES
        most = self._settings.with_list_limit if granted else 1
        if self._channel.blocks_for(blocks):
            sizes = [0] * len(sizes)
        return batches(sizes, max(self._channel.limit - LIST_HEAD, 0), most)

    def _require_short_names(self) -> ShortNameServices:
        self._require_association()
        if self._short is None:
            raise LocalError("the association uses logical names")
        return self._short


def _selection(selector: Selection | None) -> AccessSelection | None:
    if selector is None or isinstance(selector, AccessSelection):
        return selector
    return selector.to_selection()


def _short_size(selection: AccessSelection | None) -> int:
    """Return the octets of a short name in a request, or of a parameterized access."""
    return 3 if selection is None else 4 + len(axdr.encode(selection.parameters))


def _selected(asked: CosemAttribute | SelectorOf) -> SelectedAttribute:
    if isinstance(asked, CosemAttribute):
        return asked, None
    return asked[0], _selection(asked[1])


def _value(result: apdu.Result) -> Data | ServiceError:
    if isinstance(result, int):
        return apdu.access_error(result)
    try:
        return axdr.decode(result)
    except DecodeError:
        return apdu.access_error(apdu.DataAccessResult.OTHER_REASON)
