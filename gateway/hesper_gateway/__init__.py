"""The edge agent: lines, sessions, schedule, outbox, uplink and command execution."""

if __name__ != "hesper_gateway":  # through its folder: a second copy of every class and constant
    raise ImportError(f"import hesper_gateway, not {__name__}")
