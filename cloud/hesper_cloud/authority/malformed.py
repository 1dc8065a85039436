"""What a row that no program of ours wrote, or an older one did, may provoke past all checks."""

from sqlalchemy.exc import DataError, IntegrityError

MALFORMED = (
    *(ValueError, TypeError, LookupError, ArithmeticError, AttributeError, RecursionError),
    *(DataError, IntegrityError),
)
"""One such row is turned down alone; what it provoked has taken nothing of its transaction."""
