"""A transparent tunnel: a vendor's tool reaches a meter's line, for a while and under orders."""

from hesper_gateway.tunnel.errand import TunnelErrand
from hesper_gateway.tunnel.mail import Tunnels
from hesper_gateway.tunnel.records import TunnelRecords

__all__ = ["TunnelErrand", "TunnelRecords", "Tunnels"]
