"""What is no refusal of a service as one that a page can show: a store or database that does not
answer, and an address with a place in a list that is not of this list."""

import logging
from collections.abc import Iterator
from contextlib import contextmanager

from hesper_cloud.paging import BadPage
from hesper_cloud.services.errors import Invalid, Unavailable
from hesper_cloud.stores.errors import StoreError
from hesper_cloud.worded import told_by
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
    """Makes a refusal of what a store or database that is away raises, and a list of its cursor.

    Raises:
        Invalid: the cursor is of another list or question; its text says so.
        Unavailable: one of them does not answer; the log has its own words.
    """
    try:
        yield
    except BadPage as error:
        raise Invalid(told_by(error)) from error
    except StoreError as error:
        _log.warning("the store of readings does not answer a page: %s", error)
        raise Unavailable(_STORE) from error
    except (OperationalError, InterfaceError) as error:
        _log.warning("the database does not answer a page: %s", error.orig)
        raise Unavailable(_DATABASE) from error
