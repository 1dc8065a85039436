"""Meters that a modem calls one after another over circuit-switched data calls (CSD)."""

from hesper_dlms.errors import DlmsError
from hesper_dlms.mode_e import sign_on, with_even_parity

from hesper_gateway.config import MeterConfig
from hesper_gateway.errors import LineDown
from hesper_gateway.lines.modem import ModemPort
from hesper_gateway.lines.modem_call import Call


class CsdCarrier:
    """Calls the meters of a csd line.

    Args:
        modem: Shared with other lines.
        linger_s: How long a call is kept for the same meter.
        mode_e: Sign on by mode E over each call.
    """

    def __init__(self, modem: ModemPort, linger_s: float, mode_e: bool) -> None:
        self._modem = modem
        self._linger_s = linger_s
        self._mode_e = mode_e

    async def open(self, meter: MeterConfig, timeout_s: float) -> Call:
        """Return a call to the meter; it takes as long as the network does, not `timeout_s`.

        Raises:
            LineDown: by hop: the modem is not ready, or the meter does not answer the call.
        """
        del timeout_s
        call = await self._modem.dial(meter, self._linger_s)
        if self._mode_e:
            signed_on = False
            try:
                await _sign_on(call, meter.mode_e_address or "")
                signed_on = True
            finally:
                if not signed_on:
                    await call.release(broken=True)
        return call

    async def aclose(self) -> None:
        """End the call."""
        self._modem.close()


async def _sign_on(call: Call, address: str) -> None:
    """Sign on by mode E; the far modem minds the speeds, so that only octets pass here."""
    steps = sign_on(address)
    try:
        step = next(steps)
        while True:
            if step.octets:
                await call.write(with_even_parity(step.octets), 10)
            step = steps.send(await call.read(step.timeout_s) if step.timeout_s else b"")
    except StopIteration:
        return
    except DlmsError as error:
        raise LineDown(f"no sign-on by mode E: {error}") from error
