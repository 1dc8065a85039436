"""Versions of a resource over HTTP: ``ETag`` with an answer, ``If-Match`` with a change.

A resource that people edit counts its versions. The tag of its representation begins with that
number (`versioned`), and what comes after it is added by `representation`. A change that says
``If-Match`` is carried out only while the number is still the same; the service checks that in the
transaction of the change (`wanted_version`), so two clerks never overwrite each other unseen.
"""

import re
from typing import Annotated

from fastapi import Depends, Header, Response

from hesper_cloud.services.errors import Invalid, Stale
from hesper_cloud.worded import worded

_TAG = re.compile(r'(?:W/)?"(\d{1,18})(?:-[0-9a-z-]*)?"')


def versioned(response: Response, version: int) -> Response:
    """Returns a response whose tag begins with the resource's version."""
    response.headers["ETag"] = f'"{version}"'
    return response


def check_version(present: int, wanted: int | None) -> None:
    """Checks that a resource is still the one that the caller saw.

    Raises:
        Stale: somebody else changed it in between.
    """
    if wanted is not None and present != wanted:
        raise Stale(
            worded(
                "this is version {present} by now, not {wanted}; fetch it and decide again",
                present=present,
                wanted=wanted,
            )
        )


def _wanted(if_match: Annotated[str, Header(max_length=200)] = "") -> int | None:
    if if_match.strip() in ("", "*"):
        return None
    found = _TAG.fullmatch(if_match.strip())
    if found is None:
        raise Invalid("If-Match takes one ETag, as the answer to GET had it")
    return int(found[1])


WantedVersion = Annotated[int | None, Depends(_wanted)]
"""The version that ``If-Match`` names; None where the caller does not say."""
