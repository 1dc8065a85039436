"""How a device comes under a gateway's name: it asks, checks the answer, and puts it in place.

Theory of operation
-------------------
Three key pairs are made on the device and are durable before anything is asked; the private halves
never leave it. The head end's answer counts only if it is signed by the key whose fingerprint the
token carries. What it brings is laid out in a folder of its own (`STAGE`) and checked whole, as the
agent would check it; then file by file goes into place, and gateway.toml last: without it no agent
starts, with it everything else is there. The folder goes at the very end.

So power may be cut anywhere. The same command with the same token goes on: the same keys make the
same ask, which the head end answers with the same octets.
"""

from hesper_gateway.enrolment.asking import EnrolmentFailed
from hesper_gateway.enrolment.device import STAGE
from hesper_gateway.enrolment.enrolling import Enrolled, HeadEnd, enrol, enrol_again
from hesper_gateway.enrolment.serial_number import serial_number

__all__ = [
    "STAGE",
    "Enrolled",
    "EnrolmentFailed",
    "HeadEnd",
    "enrol",
    "enrol_again",
    "serial_number",
]
