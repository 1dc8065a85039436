"""What a head end answers to our own command line."""

import httpx


def refusal(answer: httpx.Response) -> str | None:
    """Returns why a head end refuses, in its own words; None where it does not, or says nothing."""
    if not answer.is_error:
        return None
    try:
        return str(answer.json()["detail"])
    except (ValueError, KeyError, TypeError):
        return None
