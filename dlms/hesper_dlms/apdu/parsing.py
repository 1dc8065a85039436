"""Finds the class of an APDU: by its tag, or its tag and choice (IEC 62056-5-3, clause 8)."""

from __future__ import annotations

from collections.abc import Callable

from hesper_dlms.apdu import access, action, ciphered, get, set  # noqa: A004 - the service's name
from hesper_dlms.apdu.aare import AARE, Aare
from hesper_dlms.apdu.aarq import AARQ, Aarq
from hesper_dlms.apdu.access import AccessRequest, AccessResponse
from hesper_dlms.apdu.action import (
    ActionRequest,
    ActionRequestBlock,
    ActionRequestFirstBlock,
    ActionRequestNextBlock,
    ActionRequestNormal,
    ActionRequestWithList,
    ActionRequestWithListFirstBlock,
    ActionResponse,
    ActionResponseBlock,
    ActionResponseNextBlock,
    ActionResponseNormal,
    ActionResponseWithList,
)
from hesper_dlms.apdu.block_transfer import GENERAL_BLOCK_TRANSFER, GeneralBlockTransfer
from hesper_dlms.apdu.ciphered import Ciphered
from hesper_dlms.apdu.error import (
    CONFIRMED_SERVICE_ERROR,
    EXCEPTION_RESPONSE,
    ConfirmedServiceError,
    ExceptionResponse,
)
from hesper_dlms.apdu.general_ciphering import GENERAL_CIPHERING, GeneralCiphering
from hesper_dlms.apdu.general_signing import GENERAL_SIGNING, GeneralSigning
from hesper_dlms.apdu.get import (
    GetRequest,
    GetRequestNext,
    GetRequestNormal,
    GetRequestWithList,
    GetResponse,
    GetResponseNormal,
    GetResponseWithBlock,
    GetResponseWithList,
)
from hesper_dlms.apdu.information_report import INFORMATION_REPORT, InformationReport
from hesper_dlms.apdu.initiate import (
    INITIATE_REQUEST,
    INITIATE_RESPONSE,
    InitiateRequest,
    InitiateResponse,
)
from hesper_dlms.apdu.notification import (
    DATA_NOTIFICATION,
    DATA_NOTIFICATION_CONFIRM,
    EVENT_NOTIFICATION,
    DataNotification,
    DataNotificationConfirm,
    EventNotification,
)
from hesper_dlms.apdu.read import READ_REQUEST, READ_RESPONSE, ReadRequest, ReadResponse
from hesper_dlms.apdu.release import RLRE, RLRQ, Rlre, Rlrq
from hesper_dlms.apdu.set import (
    SetRequest,
    SetRequestBlock,
    SetRequestFirstBlock,
    SetRequestNormal,
    SetRequestWithList,
    SetRequestWithListFirstBlock,
    SetResponse,
    SetResponseBlock,
    SetResponseLastBlock,
    SetResponseLastBlockWithList,
    SetResponseNormal,
    SetResponseWithList,
)
from hesper_dlms.apdu.write import (
    UNCONFIRMED_WRITE_REQUEST,
    WRITE_REQUEST,
    WRITE_RESPONSE,
    UnconfirmedWriteRequest,
    WriteRequest,
    WriteResponse,
)
from hesper_dlms.errors import DecodeError

Apdu = (
    Aarq
    | Aare
    | Rlrq
    | Rlre
    | InitiateRequest
    | InitiateResponse
    | GetRequest
    | GetResponse
    | SetRequest
    | SetResponse
    | ActionRequest
    | ActionResponse
    | ReadRequest
    | ReadResponse
    | WriteRequest
    | WriteResponse
    | UnconfirmedWriteRequest
    | InformationReport
    | AccessRequest
    | AccessResponse
    | DataNotification
    | DataNotificationConfirm
    | EventNotification
    | ExceptionResponse
    | ConfirmedServiceError
    | GeneralBlockTransfer
    | Ciphered
    | GeneralCiphering
    | GeneralSigning
)

LLC_HEADERS = (b"\xe6\xe6\x00", b"\xe6\xe7\x00")
_LLC_HEADER = b"\xe6"

_BY_TAG: dict[int, Callable[[bytes], Apdu]] = {
    AARQ: Aarq.from_octets,
    AARE: Aare.from_octets,
    RLRQ: Rlrq.from_octets,
    RLRE: Rlre.from_octets,
    INITIATE_REQUEST: InitiateRequest.from_octets,
    INITIATE_RESPONSE: InitiateResponse.from_octets,
    READ_REQUEST: ReadRequest.from_octets,
    READ_RESPONSE: ReadResponse.from_octets,
    WRITE_REQUEST: WriteRequest.from_octets,
    WRITE_RESPONSE: WriteResponse.from_octets,
    UNCONFIRMED_WRITE_REQUEST: UnconfirmedWriteRequest.from_octets,
    INFORMATION_REPORT: InformationReport.from_octets,
    DATA_NOTIFICATION: DataNotification.from_octets,
    DATA_NOTIFICATION_CONFIRM: DataNotificationConfirm.from_octets,
    access.REQUEST: AccessRequest.from_octets,
    access.RESPONSE: AccessResponse.from_octets,
    EVENT_NOTIFICATION: EventNotification.from_octets,
    EXCEPTION_RESPONSE: ExceptionResponse.from_octets,
    CONFIRMED_SERVICE_ERROR: ConfirmedServiceError.from_octets,
    GENERAL_BLOCK_TRANSFER: GeneralBlockTransfer.from_octets,
    GENERAL_CIPHERING: GeneralCiphering.from_octets,
    GENERAL_SIGNING: GeneralSigning.from_octets,
}

_BY_TAG_AND_CHOICE: dict[tuple[int, int], Callable[[bytes], Apdu]] = {
    (get.REQUEST, 1): GetRequestNormal.from_octets,
    (get.REQUEST, 2): GetRequestNext.from_octets,
    (get.REQUEST, 3): GetRequestWithList.from_octets,
    (get.RESPONSE, 1): GetResponseNormal.from_octets,
    (get.RESPONSE, 2): GetResponseWithBlock.from_octets,
    (get.RESPONSE, 3): GetResponseWithList.from_octets,
    (set.REQUEST, 1): SetRequestNormal.from_octets,
    (set.REQUEST, 2): SetRequestFirstBlock.from_octets,
    (set.REQUEST, 3): SetRequestBlock.from_octets,
    (set.REQUEST, 4): SetRequestWithList.from_octets,
    (set.REQUEST, 5): SetRequestWithListFirstBlock.from_octets,
    (set.RESPONSE, 1): SetResponseNormal.from_octets,
    (set.RESPONSE, 2): SetResponseBlock.from_octets,
    (set.RESPONSE, 3): SetResponseLastBlock.from_octets,
    (set.RESPONSE, 4): SetResponseLastBlockWithList.from_octets,
    (set.RESPONSE, 5): SetResponseWithList.from_octets,
    (action.REQUEST, 1): ActionRequestNormal.from_octets,
    (action.REQUEST, 2): ActionRequestNextBlock.from_octets,
    (action.REQUEST, 3): ActionRequestWithList.from_octets,
    (action.REQUEST, 4): ActionRequestFirstBlock.from_octets,
    (action.REQUEST, 5): ActionRequestWithListFirstBlock.from_octets,
    (action.REQUEST, 6): ActionRequestBlock.from_octets,
    (action.RESPONSE, 1): ActionResponseNormal.from_octets,
    (action.RESPONSE, 2): ActionResponseBlock.from_octets,
    (action.RESPONSE, 3): ActionResponseWithList.from_octets,
    (action.RESPONSE, 4): ActionResponseNextBlock.from_octets,
}


def parse(octets: bytes) -> Apdu:
    """Return the APDU that `octets` hold, whole.

    LLC headers in front are skipped, also when a meter sends them twice.

    Raises:
        DecodeError: Empty, unknown tag or choice, cut short, or octets too many.
    """
    while octets[:1] == _LLC_HEADER and octets[:3] in LLC_HEADERS:
        octets = octets[3:]
    if len(octets) < 2:
        raise DecodeError("an APDU has at least two octets", 0)
    tag, choice = octets[0], octets[1]
    if tag in ciphered.TAGS:
        return Ciphered.from_octets(octets)
    read = _BY_TAG.get(tag) or _BY_TAG_AND_CHOICE.get((tag, choice))
    if read is None:
        raise DecodeError(f"no APDU begins with {tag:02X} {choice:02X}", 0)
    return read(octets)
