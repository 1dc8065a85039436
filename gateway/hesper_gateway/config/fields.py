"""What values in gateway.toml look like, and the base of its tables."""

import re
from decimal import Decimal
from pathlib import Path
from typing import Annotated

from hesper_contracts.topics import METER
from pydantic import (
    AfterValidator,
    BaseModel,
    ConfigDict,
    Field,
    StringConstraints,
    ValidationInfo,
)

GatewayId = Annotated[str, StringConstraints(pattern=r"^[a-z0-9][a-z0-9-]{0,62}$")]
MeterId = Annotated[str, StringConstraints(pattern=f"^{METER.pattern}$")]
LineName = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]{0,62}$")]
Port = Annotated[int, Field(ge=0, le=65535)]
SystemTitle = Annotated[str, StringConstraints(pattern=r"^[0-9a-f]{16}$", to_lower=True)]
PublicKey = Annotated[str, StringConstraints(pattern=r"^[0-9a-f]{64}$", to_lower=True)]
Framing = Annotated[str, StringConstraints(pattern=r"^[78][NEO][12]$")]


def _to_be_looked_up(host: str) -> str:
    try:
        host.encode("idna")
    except UnicodeError as error:
        raise ValueError("no name of a host: between two dots stand 1 to 63 letters") from error
    return host


def _no_beginning_of_an_apdu(heartbeat: str) -> str:
    if heartbeat.startswith("0001") and len(heartbeat) < 16:
        raise ValueError("the wrapper's APDUs begin so as well; give the heartbeat whole")
    return heartbeat


def _without_a_pin(command: str) -> str:
    if re.search(r"\+CPIN2?\s*=", command, re.IGNORECASE):
        raise ValueError("a PIN comes in pin_file: it is tried once there, and never shown")
    return command


def _beside_the_file(path: Path, info: ValidationInfo) -> Path:
    folder = (info.context or {}).get("folder")
    return path if folder is None else Path(folder) / path


Host = Annotated[str, AfterValidator(_to_be_looked_up)]
"""A name or an address that can be looked up, be it there or not."""
Phone = Annotated[str, StringConstraints(pattern=r"^\+?[0-9]{3,20}$")]
AtCommand = Annotated[
    str, StringConstraints(pattern=r"^AT[ -~]{1,80}$"), AfterValidator(_without_a_pin)
]
WakeText = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9 .,:;/=#*+-]{1,160}$")]
Price = Annotated[Decimal, Field(ge=0, max_digits=12, decimal_places=6)]
"""In one currency throughout; written as text, as in ``"0.07"``."""
Heartbeat = Annotated[
    str,
    StringConstraints(pattern=r"^([0-9a-f]{2}){1,32}$", to_lower=True),
    AfterValidator(_no_beginning_of_an_apdu),
]
ModeEAddress = Annotated[str, StringConstraints(pattern=r"^[0-9A-Za-z ]{0,32}$")]

RelativePath = Annotated[Path, AfterValidator(_beside_the_file)]
"""A path written relative to gateway.toml; absolute once loaded."""


class Record(BaseModel):
    """The base of every table in gateway.toml: unknown keys are refused, values frozen.

    Defaults are checked like values, so that a path nobody wrote lies beside the file as well.
    """

    model_config = ConfigDict(
        extra="forbid",
        frozen=True,
        validate_default=True,
        revalidate_instances="always",
        allow_inf_nan=False,
    )
