"""What meters push: the body of a data-notification as named values (Blue Book, push setup).

The standard leaves the shape of a push to the meter, so there are many. `parse_body` reads the
octets, also those of meters that are not quite A-XDR; `read_push` finds names, values, scalers and
the time in them by a layout, which is data of a meter template:

    named        logical names beside their values: pairs (Kamstrup), pairs and scalers in a row
                 (Netz NÖ), rows of two or three (Aidon, Iskra), rows of class, name, attribute and
                 value (Sagemcom, EG.D)
    object-list  the first item lists the objects, the others are their values (Iskra,
                 Landis+Gyr, Energomera)
    positional   values alone; a list of names for this many values comes from the template (Kaifa)
    auto         whichever of them fits the shape
"""

from hesper_dlms.push.body import Body, parse_body
from hesper_dlms.push.layouts import LAYOUTS, PushedValue
from hesper_dlms.push.reading import PushedReading, read_push
from hesper_dlms.push.telegram import BareBody, Telegram, read_unwrapped

__all__ = [
    "LAYOUTS",
    "BareBody",
    "Body",
    "PushedReading",
    "PushedValue",
    "Telegram",
    "parse_body",
    "read_push",
    "read_unwrapped",
]
