"""Bringing new keys to a meter: key_transfer of its security setup (IEC 62056-6-2, class 64)."""

from hesper_contracts.new_keys import NewKeys
from hesper_dlms.apdu import CosemMethod
from hesper_dlms.errors import ServiceError
from hesper_dlms.key_ids import KeyId
from hesper_dlms.security.security_setup import key_transfer

from hesper_gateway.errors import MeterFailed, WriteUncertain
from hesper_gateway.sessions.association import Association

_CLASS, _KEY_TRANSFER = 64, 2


async def transfer(association: Association, where: bytes, master_key: bytes, new: NewKeys) -> str:
    """Give the meter all new keys in one call, wrapped; return why it declines, or nothing.

    Raises:
        WriteUncertain: the meter fell silent; nobody knows whether it has taken them.
    """
    given = {
        KeyId.GLOBAL_UNICAST_ENCRYPTION: new.encryption_key,
        KeyId.AUTHENTICATION: new.authentication_key,
        KeyId.MASTER: new.master_key,
    }
    keys = {key_id: key for key_id, key in given.items() if key is not None}
    method = CosemMethod(_CLASS, where, _KEY_TRANSFER)
    try:
        await association.action(method, key_transfer(master_key, keys))
    except ServiceError as error:
        return f"the meter declines the new keys: {error}"
    except MeterFailed as error:
        raise WriteUncertain(f"new keys were sent, then: {error}") from error
    return ""
