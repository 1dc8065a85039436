"""Pushes of simulated meters: a data-notification on a schedule, or at once when tampered with.

The body lists its objects first and then their values, as meters of the Iskraemeco kind do;
ciphered it travels as general-glo-ciphering with the meter's own keys. On a serial line it leaves
in HDLC UI frames or M-Bus long frames, over TCP in the wrapper, and in general blocks where those
are asked for.
"""

from __future__ import annotations

from typing import Final

from hesper_dlms import axdr, gbt, mbus
from hesper_dlms.apdu import CosemAttribute, DataNotification, capture_object
from hesper_dlms.security import SecurityContext
from hesper_dlms.server import HdlcServerLink, ServerConnection
from hesper_dlms.wrapper import wrap

from hesper_sim import key_change
from hesper_sim.cosem import CosemMeter
from hesper_sim.district import District
from hesper_sim.fleet import PushLink
from hesper_sim.objects.clock import meter_time, time_of
from hesper_sim.objects.communication import PUSH_COLUMNS
from hesper_sim.roles import PUSH_CLIENT, READING_CLIENT
from hesper_sim.served import MeterServer

MBUS_CLIENT: Final = 0x67
HDLC_INFORMATION: Final = 128


def notification(district: District, server: MeterServer, ciphered: bool) -> bytes:
    """Return a meter's push as an APDU, sealed with its next invocation counter if ciphered."""
    subject = CosemMeter(district, server.meter)
    listed = axdr.array(*(capture_object(each) for each in PUSH_COLUMNS))
    values = (_value(subject, each) for each in PUSH_COLUMNS)
    body = axdr.encode(axdr.structure(listed, *values))
    number = district.now() & 0xFFFFFF
    plain = DataNotification(number, time_of(subject, meter_time(subject)), body).to_octets()
    if not ciphered:
        return plain
    settings = key_change.settings_of(district, server.meter)
    context = SecurityContext(settings, server.meter.plan.system_title)
    return context.protect(plain, server.next_counter())


def _value(subject: CosemMeter, attribute: CosemAttribute) -> axdr.Data:
    return axdr.decode(subject.get(READING_CLIENT, attribute, None))


def on_link(server: MeterServer, apdu: bytes, link: PushLink, block: int = 0) -> bytes:
    """Return the octets that carry a push, in general blocks of `block` octets unless that is 0."""
    plan = server.meter.plan
    apdus = gbt.push_blocks(apdu, block) if block else [apdu]
    if link is PushLink.MBUS:
        frames = (mbus.long_frames(each, plan.server_address, MBUS_CLIENT) for each in apdus)
        return b"".join(frames)
    if link is PushLink.HDLC:
        hdlc = HdlcServerLink(plan.server_address, plan.physical_address, HDLC_INFORMATION)
        connection = ServerConnection(server, hdlc)
        return b"".join(connection.push(each, PUSH_CLIENT) for each in apdus)
    return b"".join(wrap(plan.server_address, PUSH_CLIENT, each) for each in apdus)
