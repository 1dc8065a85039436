"""The client's side of an HDLC connection (IEC 62056-46, 6.4; connection mode).

    disconnected --SNRM/UA--> connected --DISC/UA--> disconnected

Connected, the client is the master: it sends an I frame and the meter answers. A long APDU goes
out as segments, each acknowledged by RR; a long answer comes in as segments, each of which the
client acknowledges by RR with the poll bit. Silence makes the client send its last frame again, at
most `retries` times. The meter's N(S) tells a repeated segment from a new one, so nothing is taken
twice. We send one I frame at a time; the meter may send as many as its window allows, of which the
last has the final bit and is acknowledged for all.

    RR   that misses our frame   the frame again
    RR   that has our frame      the meter needs time: poll it with RR into silence
    RNR                          the meter is busy: the same

What is not for this client is passed over: echoes of its own frames (optical probes), frames with
a wrong FCS, frames of other stations. UI frames that interleave with the answers are set apart as
notifications. DM and FRMR end the link.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence

from hesper_dlms.errors import LinkError, LocalError, NoAnswer
from hesper_dlms.exchange import Exchange
from hesper_dlms.hdlc import llc
from hesper_dlms.hdlc.address import client_octets, server_octets
from hesper_dlms.hdlc.frames import (
    Frame,
    FrameReader,
    Kind,
    information_control,
    ready_control,
    unnumbered_control,
)
from hesper_dlms.hdlc.parameters import (
    LARGEST_INFORMATION,
    LARGEST_WINDOW,
    SMALLEST_INFORMATION,
    LinkParameters,
    agree,
    parse_parameters,
)
from hesper_dlms.hdlc.reassembly import Reassembly, segments

_NOTIFICATIONS_KEPT = 64


class HdlcLink:
    """One client's HDLC connection to one meter.

    Args:
        client: Client address (16 public, 1 management, …).
        server_logical: Logical device address.
        server_physical: Physical address; None for the one-octet form.
        address_octets: 1, 2 or 4; None takes the shortest that fits.
        max_info: Largest information field that we propose, both ways, in octets.
        retries: How often a frame is sent again into silence.
        window: I frames that we let the meter send without an acknowledgement between, 1 to 7.
    """

    def __init__(
        self,
        client: int,
        server_logical: int,
        server_physical: int | None = None,
        address_octets: int | None = None,
        max_info: int = 1024,
        retries: int = 2,
        window: int = 1,
    ) -> None:
        if not SMALLEST_INFORMATION <= max_info <= LARGEST_INFORMATION:
            raise LocalError(f"max_info must be {SMALLEST_INFORMATION} to {LARGEST_INFORMATION}")
        if not 1 <= window <= LARGEST_WINDOW:
            raise LocalError(f"a window has 1 to {LARGEST_WINDOW} frames, not {window}")
        self._client = client_octets(client)
        self._server = server_octets(server_logical, server_physical, address_octets)
        self._proposal = LinkParameters(max_info, max_info, 1, window)
        self._own = b""
        self._retries = retries
        self._reader = FrameReader()
        self._arrived: deque[Frame] = deque()
        self._notifications: deque[bytes] = deque(maxlen=_NOTIFICATIONS_KEPT)
        self._notification = Reassembly()
        self._incoming = Reassembly()
        self.parameters = LinkParameters()
        self.connected = False
        self._polled = False
        self._send_sequence = 0
        self._receive_sequence = 0

    def connect(self) -> Exchange[None]:
        """Send SNRM and take the sizes of the meter's UA."""
        self.connected = False
        self._send_sequence = self._receive_sequence = 0
        self._incoming.clear()
        snrm = self._frame(unnumbered_control(Kind.SNRM), self._proposal.to_octets())
        answer = yield from self._await(snrm, {Kind.UA}, snrm)
        self.parameters = agree(self._proposal, parse_parameters(answer.information))
        self.connected = True

    def disconnect(self) -> Exchange[None]:
        """Send DISC; DM, UA or silence all leave the link disconnected."""
        self.connected = False
        disc = self._frame(unnumbered_control(Kind.DISC))
        try:
            yield from self._await(disc, {Kind.UA, Kind.DM}, disc)
        except LinkError:
            return

    def request(self, apdu: bytes) -> Exchange[bytes]:
        """Send an APDU, segmented as the meter's sizes need; return the APDU that answers."""
        return self.request_all((apdu,))

    def request_all(self, apdus: Sequence[bytes]) -> Exchange[bytes]:
        """Send APDUs in a row, each acknowledged by RR; return the one that answers the last."""
        if not self.connected:
            raise LinkError("the HDLC link is not connected")
        *before, last = apdus
        for apdu in before:
            yield from self._send_unanswered(apdu)
        parts = segments(llc.REQUEST + last, self.parameters.max_transmit)
        for part in parts[:-1]:
            yield from self._send_part(part, more=True)
        control = information_control(self._send_sequence, self._receive_sequence)
        self._send_sequence = self._send_sequence + 1 & 7
        self._own = self._frame(control, parts[-1])
        return (yield from self._collect(self._own))

    def send(self, apdu: bytes) -> Exchange[None]:
        """Send an APDU that the meter does not answer but by RR."""
        if not self.connected:
            raise LinkError("the HDLC link is not connected")
        yield from self._send_unanswered(apdu)

    def receive(self) -> Exchange[bytes]:
        """Wait for another APDU of the meter, polling for it where the meter waits for us."""
        ready = self._frame(ready_control(self._receive_sequence))
        return (yield from self._collect(ready if self._polled else b"", ready))

    def take_notifications(self) -> list[bytes]:
        """Return and forget what came in UI frames."""
        taken = list(self._notifications)
        self._notifications.clear()
        return taken

    def _frame(self, control: int, information: bytes = b"", segmented: bool = False) -> bytes:
        return Frame(self._server, self._client, control, information, segmented).to_octets()

    def _send_unanswered(self, apdu: bytes) -> Exchange[None]:
        *before, last = segments(llc.REQUEST + apdu, self.parameters.max_transmit)
        for part in before:
            yield from self._send_part(part, more=True)
        yield from self._send_part(last, more=False)

    def _send_part(self, part: bytes, *, more: bool) -> Exchange[None]:
        control = information_control(self._send_sequence, self._receive_sequence)
        expected = self._send_sequence + 1 & 7
        self._own = octets = repeat = self._frame(control, part, segmented=more)
        missed = 0
        while True:
            answer = yield from self._await(octets, {Kind.RR, Kind.RNR}, repeat)
            octets = b""
            if answer.receive_sequence != expected:
                missed += 1
                octets = repeat = self._own if missed <= self._retries else b""
            elif answer.kind is Kind.RR:
                break
            else:
                repeat = self._frame(ready_control(self._receive_sequence))
        self._send_sequence = expected

    def _collect(self, octets: bytes, repeat: bytes | None = None) -> Exchange[bytes]:
        """Write `octets`, then gather the segments of the answer, acknowledging each."""
        own, missed = octets if repeat is None else b"", 0
        repeat = octets if repeat is None else repeat
        while True:
            frame = yield from self._await(octets, {Kind.I, Kind.RR, Kind.RNR}, repeat)
            octets = b""
            if frame.kind is not Kind.I:
                repeat = self._frame(ready_control(self._receive_sequence))
                if own and frame.receive_sequence != self._send_sequence:
                    missed += 1
                    octets = repeat = own if missed <= self._retries else b""
                continue
            new = frame.send_sequence == self._receive_sequence
            if not new and frame.receive_sequence != self._send_sequence:
                continue  # it answers an earlier frame of ours: a late repetition
            if new:  # whatever it acknowledges: jDLMS acknowledges one frame too few
                self._receive_sequence = self._receive_sequence + 1 & 7
                self._polled = frame.final
                whole = self._incoming.add(frame.information, frame.segmented)
                if whole is not None:
                    return llc.strip(whole)
            repeat = self._frame(ready_control(self._receive_sequence))
            if frame.final:
                octets = repeat

    def _await(self, octets: bytes, wanted: set[Kind], repeat: bytes = b"") -> Exchange[Frame]:
        """Write, return the first frame of a wanted kind; into silence, write `repeat`."""
        out = octets
        for _ in range(self._retries + 1):
            silent = False
            while not silent:
                if out or not self._arrived:
                    silent = yield from self._listen(out)
                    out = b""
                while self._arrived:
                    frame = self._arrived.popleft()
                    if self._concerns_us(frame, wanted):
                        return frame
            out = repeat
        self.connected = False
        raise NoAnswer("the meter did not answer")

    def _listen(self, out: bytes) -> Exchange[bool]:
        """Write, then take in what arrives; return whether it was silence."""
        arrived = yield out
        self._arrived.extend(self._reader.receive(arrived) if arrived else self._reader.idle())
        return not arrived

    def _concerns_us(self, frame: Frame, wanted: set[Kind]) -> bool:
        if not frame.fcs_right:
            return False
        kind = frame.kind
        if kind is Kind.UI and frame.source == self._server:
            self._note(frame)
            return False
        if frame.destination != self._client or frame.source != self._server:
            return False
        if self._client == self._server and frame.to_octets() == self._own:
            return False  # an echo
        if kind in wanted:
            return True
        if kind in (Kind.DM, Kind.FRMR):
            self.connected = False
            raise LinkError(f"the meter answered {kind.name}: it holds no connection with us")
        return False

    def _note(self, frame: Frame) -> None:
        if frame.information[:3] in (llc.REQUEST, llc.RESPONSE):
            self._notification.clear()  # the rest of the last one was lost
        try:
            whole = self._notification.add(frame.information, frame.segmented)
        except LinkError:
            return
        if whole is not None:
            self._notifications.append(llc.strip(whole))
