"""A store or database that does not answer, as a refusal that a page can show."""

import logging
from collections.abc import Iterator
from contextlib import contextmanager

from hesper_cloud.services.errors import Unavailable
from hesper_cloud.stores.errors import StoreError
from sqlalchemy.exc import InterfaceError, OperationalError

from hesper_ui.words import later

_log = logging.getLogger(__name__)
_STORE = later(
    "The store of readings does not answer. Nothing is lost: gateways keep what they read until it "
    "is stored. The log of hesper-cloud run says what is wrong."
)
_DATABASE = later("The database does not answer. The log of hesper-cloud run says what is wrong.")


@contextmanager
def answered() -> Iterator[None]:
    """Makes a refusal of what a store or database that is away raises.

    Raises:
        Unavailable: one of them does not answer; the log has its own words.
    """
    try:
        yield
    except StoreError as error:
        _log.warning("the store of readings does not answer a page: %s", error)
        raise Unavailable(_STORE) from error
    except (OperationalError, InterfaceError) as error:
        _log.warning("the database does not answer a page: %s", error.orig)
        raise Unavailable(_DATABASE) from error
