"""One person's data: given out, and erased, by command."""
