"""The certificate by which the broker knows this gateway: made here, renewed by itself.

Theory of operation
-------------------
Key and certificate lie in one file (PEM, mode 0600), so that both change in one step. Its key is
born on the device and never leaves it. After two thirds of the certificate's life a fresh key is
made and a request for it goes up, signed with the gateway's own Ed25519 key; the answer, signed by
the authority, is laid beside the old file as its successor (`….next`). The connection is then made
anew with the successor. Only when the broker has taken it does it replace the old one; until then
both are kept, and attempts alternate between them, so that neither a mistake above nor a power cut
leaves the gateway outside.
"""

from hesper_gateway.certificate.holding import Holding
from hesper_gateway.certificate.making import (
    Wanted,
    Worn,
    born,
    fitted,
    request_for,
    requested_name,
    wear,
)
from hesper_gateway.certificate.renewal import Renewal, Self

__all__ = [
    "Holding",
    "Renewal",
    "Self",
    "Wanted",
    "Worn",
    "born",
    "fitted",
    "request_for",
    "requested_name",
    "wear",
]
