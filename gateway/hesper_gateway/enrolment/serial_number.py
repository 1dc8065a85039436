"""The serial number that a device has from its maker.

It is the device's own word: whoever holds a token may say what he likes. It keeps a token from
being used on the wrong device by mistake, and asks a thief for one more thing to know.
"""

from pathlib import Path

PLACES = (
    Path("/proc/device-tree/serial-number"),  # Raspberry Pi and most boards with a device tree
    Path("/sys/class/dmi/id/product_serial"),  # industrial PCs; readable by root
)
_MOST = 64


def serial_number(places: tuple[Path, ...] = PLACES) -> str:
    """Return the serial number where the kernel shows it to us; else an empty text."""
    for place in places:
        try:
            text = place.read_bytes().decode("ascii", "replace").strip("\0 \r\n\t")
        except OSError:
            continue
        if text and text.isprintable() and len(text) <= _MOST:
            return text
    return ""
