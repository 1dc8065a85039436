"""A meter as its clients see it: dispatch of GET, SET and ACTION, and who may do what.

Objects are one table for all meters; a meter itself adds nothing but its state. Which clients there
are and what they may do is told in `roles`.
"""

from __future__ import annotations

from collections.abc import Mapping

from hesper_dlms import axdr
from hesper_dlms.apdu import (
    AccessSelection,
    ActionResult,
    CosemAttribute,
    CosemMethod,
    DataAccessResult,
)
from hesper_dlms.association import Authentication
from hesper_dlms.errors import ServiceError
from hesper_dlms.security import SecuritySettings
from hesper_dlms.server import ClientRole, LogicalServer
from hesper_dlms.short_names import ShortNames

from hesper_sim import key_change, roles
from hesper_sim.district import District
from hesper_sim.faults import Fault
from hesper_sim.meter import Meter
from hesper_sim.objects.cosem_object import REGISTER, CosemObject, refused
from hesper_sim.objects.table import OBJECTS, base_names, may_change, may_read
from hesper_sim.registers import REGISTERS
from hesper_sim.roles import MANAGEMENT_CLIENT, PUBLIC_CLIENT, READING_CLIENT

__all__ = ["MANAGEMENT_CLIENT", "PUBLIC_CLIENT", "READING_CLIENT", "CosemMeter"]

_NOBODY: Mapping[int, ClientRole] = {}


class CosemMeter:
    """Implements `hesper_dlms.server.CosemServer` over one meter of a district."""

    __slots__ = ("_acted", "_server", "client", "district", "meter")

    def __init__(self, district: District, meter: Meter) -> None:
        self.district = district
        self.meter = meter
        self.client = PUBLIC_CLIENT
        self._acted = False
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
        """The suite with this meter's global unicast keys, as they are now."""
        return key_change.settings_of(self.district, self.meter)

    @property
    def clients(self) -> Mapping[int, ClientRole]:
        """The clients of this meter; none while it is locked."""
        most = self.meter.faults.get(Fault.LOCK_OUT)
        kept = self.district.known(self.meter)
        if most is not None and kept is not None and kept.failed_attempts >= most:
            return _NOBODY
        settings = self.district.fleet.settings
        return roles.of(self.meter.plan, settings.roles, settings.seed)

    @property
    def short_names(self) -> ShortNames:
        """Base names of all objects, for clients that use them."""
        return base_names()

    @property
    def last_received_counter(self) -> int:
        """The highest invocation counter that was accepted from a client."""
        return self._server.last_received_counter if self._server else 0

    def take_acted(self) -> bool:
        """Return whether a method was asked for since the last call: not a proof for HLS."""
        acted, self._acted = self._acted, False
        return acted

    def get(
        self, client: int, attribute: CosemAttribute, selection: AccessSelection | None
    ) -> bytes:
        """Return an attribute's encoded value; ServiceError (data-access-result) if refused."""
        if client == PUBLIC_CLIENT and not may_read(Authentication.NONE, attribute.logical_name):
            raise ServiceError(DataAccessResult.READ_WRITE_DENIED)
        if attribute.class_id == REGISTER:
            return self._register(attribute)
        self.client = client
        return _object(attribute).get(self, attribute.attribute_id, selection)

    def set(self, client: int, attribute: CosemAttribute, octets: bytes) -> None:
        """Write an attribute; ServiceError (data-access-result) if refused."""
        is_register = attribute.class_id == REGISTER and attribute.logical_name in REGISTERS
        found = None if is_register else _object(attribute)
        if not may_change(self._authentication(client)) or found is None:
            raise ServiceError(DataAccessResult.READ_WRITE_DENIED)
        self.client = client
        found.set(self, attribute.attribute_id, octets)

    def action(self, client: int, method: CosemMethod, octets: bytes | None) -> bytes | None:
        """Invoke a method; ServiceError with an action-result if refused."""
        self._acted = True
        found = OBJECTS.get((method.class_id, method.logical_name))
        if found is None:
            raise refused(ActionResult(int(_unknown(method.logical_name).code)))
        if not may_change(self._authentication(client)):
            raise refused(ActionResult.READ_WRITE_DENIED)
        self.client = client
        return found.invoke(self, method.method_id, octets)

    def _authentication(self, client: int) -> Authentication:
        role = self.clients.get(client)
        return Authentication.NONE if role is None else role.authentication

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


def _object(attribute: CosemAttribute) -> CosemObject:
    found = OBJECTS.get((attribute.class_id, attribute.logical_name))
    if found is None:
        raise _unknown(attribute.logical_name)
    return found


def _unknown(logical_name: bytes) -> ServiceError:
    known = logical_name in REGISTERS or any(name == logical_name for _, name in OBJECTS)
    return ServiceError(
        DataAccessResult.OBJECT_CLASS_INCONSISTENT if known else DataAccessResult.OBJECT_UNDEFINED
    )
