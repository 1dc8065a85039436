"""The client's side of DLMS/COSEM: what the gateway and the command line are built on."""

from hesper_dlms.association import Authentication, Referencing
from hesper_dlms.client.access import (
    AccessAction,
    AccessGet,
    AccessSet,
    AccessSpecification,
    AccessValue,
)
from hesper_dlms.client.associate import Associated
from hesper_dlms.client.channel import Notification
from hesper_dlms.client.client import Client, State
from hesper_dlms.client.settings import AssociationSettings
from hesper_dlms.hdlc.link import HdlcLink
from hesper_dlms.security import SecuritySettings
from hesper_dlms.wrapper import DatagramLink, WrapperLink

__all__ = [
    "AccessAction",
    "AccessGet",
    "AccessSet",
    "AccessSpecification",
    "AccessValue",
    "Associated",
    "AssociationSettings",
    "Authentication",
    "Client",
    "DatagramLink",
    "HdlcLink",
    "Notification",
    "Referencing",
    "SecuritySettings",
    "State",
    "WrapperLink",
]
