"""The authority: the one process that decides, signs and accounts for commands."""
