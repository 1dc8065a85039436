"""The meter's side of DLMS/COSEM: what the simulator is built on.

Implement `CosemServer`, wrap it once in a `LogicalServer`, and make a connection object for every
link that clients come over.
"""

from hesper_dlms.server.connection import (
    HdlcMultidrop,
    ServerConnection,
    WrapperConnection,
    WrapperShared,
)
from hesper_dlms.server.datagrams import WrapperDatagrams
from hesper_dlms.server.links import HdlcServerLink, WrapperServerLink
from hesper_dlms.server.model import ClientRole, CosemServer, LogicalServer, ShortNamed

__all__ = [
    "ClientRole",
    "CosemServer",
    "HdlcMultidrop",
    "HdlcServerLink",
    "LogicalServer",
    "ServerConnection",
    "ShortNamed",
    "WrapperConnection",
    "WrapperDatagrams",
    "WrapperServerLink",
    "WrapperShared",
]
