"""What a gateway can tell those who support it, without any secret; see `bundle`."""

from hesper_gateway.support.bundle import Bundle, make

__all__ = ["Bundle", "make"]
