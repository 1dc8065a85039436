"""A meter as its clients see it: the COSEM objects, who may read what, and what may be moved.

Clients: 16 public (no authentication, identity and clock only), 2 reading (LLS, everything, nothing
moves), 1 management (HLS-GMAC, suite 0, everything). Objects are one table for all meters; a meter
itself adds nothing but its state.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC
from typing import Final

from hesper_dlms import axdr, obis
from hesper_dlms.apdu import (
    AccessSelection,
    ActionResult,
    CosemAttribute,
    CosemMethod,
    DataAccessResult,
)
from hesper_dlms.association import Authentication
from hesper_dlms.cosem_time import CosemDateTime
from hesper_dlms.errors import ServiceError
from hesper_dlms.security import SecuritySettings
from hesper_dlms.server import ClientRole, LogicalServer

from hesper_sim.district import District
from hesper_sim.meter import Meter
from hesper_sim.objects import (
    CLOCK,
    DISCONNECT_CONTROL,
    OBJECTS,
    REGISTER,
    REMOTE_DISCONNECT,
    REMOTE_RECONNECT,
)
from hesper_sim.registers import REGISTERS

PUBLIC_CLIENT: Final = 16
READING_CLIENT: Final = 2
MANAGEMENT_CLIENT: Final = 1

_PUBLIC_OBJECTS: Final = frozenset(
    {
        obis.LOGICAL_DEVICE_NAME,
        obis.SERIAL_NUMBER,
        obis.INVOCATION_COUNTER,
        obis.CLOCK,
        obis.CURRENT_ASSOCIATION,
    }
)


class CosemMeter:
    """Implements `hesper_dlms.server.CosemServer` over one meter of a district."""

    __slots__ = ("_server", "district", "meter")

    def __init__(self, district: District, meter: Meter) -> None:
        self.district = district
        self.meter = meter
        self._server: LogicalServer | None = None

    def attach(self, server: LogicalServer) -> None:
        """Learn who counts the invocations that this meter has accepted."""
        self._server = server

    @property
    def system_title(self) -> bytes:
        """8 octets."""
        return self.meter.plan.system_title

    @property
    def security(self) -> SecuritySettings:
        """Suite 0 with this meter's global unicast keys."""
        plan = self.meter.plan
        return SecuritySettings(0, plan.encryption_key, plan.authentication_key)

    @property
    def clients(self) -> Mapping[int, ClientRole]:
        """The three clients of this meter."""
        return {
            PUBLIC_CLIENT: ClientRole(),
            READING_CLIENT: ClientRole(
                Authentication.LOW, password=self.meter.plan.password.encode()
            ),
            MANAGEMENT_CLIENT: ClientRole(Authentication.HIGH_GMAC, ciphered=True),
        }

    @property
    def last_received_counter(self) -> int:
        """The highest invocation counter that was accepted from a client."""
        return self._server.last_received_counter if self._server else 0

    def get(
        self, client: int, attribute: CosemAttribute, selection: AccessSelection | None
    ) -> bytes:
        """Return an attribute's encoded value; ServiceError (data-access-result) if refused."""
        if client == PUBLIC_CLIENT and attribute.logical_name not in _PUBLIC_OBJECTS:
            raise ServiceError(DataAccessResult.READ_WRITE_DENIED)
        if attribute.class_id == REGISTER:
            return self._register(attribute)
        readers = OBJECTS.get((attribute.class_id, attribute.logical_name))
        if readers is None:
            raise _unknown(attribute.logical_name)
        if attribute.attribute_id == 1:
            return axdr.encode(axdr.octet_string(attribute.logical_name))
        reader = readers.get(attribute.attribute_id)
        if reader is None:
            raise ServiceError(DataAccessResult.OBJECT_UNAVAILABLE)
        return reader(self, selection)

    def set(self, client: int, attribute: CosemAttribute, octets: bytes) -> None:
        """Write an attribute: only the clock's time, only by the management client."""
        if (attribute.class_id, attribute.logical_name) not in OBJECTS:
            raise _unknown(attribute.logical_name)
        clock_time = (CLOCK, obis.CLOCK, 2)
        named = (attribute.class_id, attribute.logical_name, attribute.attribute_id)
        if client != MANAGEMENT_CLIENT or named != clock_time:
            raise ServiceError(DataAccessResult.READ_WRITE_DENIED)
        wanted = CosemDateTime.from_octets(axdr.decode(octets).as_octets()).resolve(UTC)
        drift_s = int(wanted.captured_at.timestamp()) - self.district.now()
        self.district.set_clock(self.meter, drift_s)

    def action(self, client: int, method: CosemMethod, octets: bytes | None) -> bytes | None:
        """Move the relay; ServiceError with an action-result if refused."""
        del octets
        if (method.class_id, method.logical_name) not in OBJECTS:
            raise _unknown(method.logical_name)
        if client != MANAGEMENT_CLIENT or method.class_id != DISCONNECT_CONTROL:
            raise ServiceError(ActionResult.READ_WRITE_DENIED, "action-result")
        if method.method_id not in (REMOTE_DISCONNECT, REMOTE_RECONNECT):
            raise ServiceError(ActionResult.OBJECT_UNAVAILABLE, "action-result")
        if not self.district.move_relay(self.meter, method.method_id == REMOTE_RECONNECT):
            raise ServiceError(ActionResult.TEMPORARY_FAILURE, "action-result")
        return None

    def _register(self, attribute: CosemAttribute) -> bytes:
        register = REGISTERS.get(attribute.logical_name)
        if register is None:
            raise _unknown(attribute.logical_name)
        if attribute.attribute_id == 2:
            return register.octets(self.meter, self.district.now())
        if attribute.attribute_id == 3:
            return axdr.encode(register.scaler_unit.to_data())
        if attribute.attribute_id == 1:
            return axdr.encode(axdr.octet_string(attribute.logical_name))
        raise ServiceError(DataAccessResult.OBJECT_UNAVAILABLE)


def _unknown(logical_name: bytes) -> ServiceError:
    known = logical_name in REGISTERS or any(name == logical_name for _, name in OBJECTS)
    return ServiceError(
        DataAccessResult.OBJECT_CLASS_INCONSISTENT if known else DataAccessResult.OBJECT_UNDEFINED
    )
