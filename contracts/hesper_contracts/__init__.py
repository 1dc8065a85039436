"""What crosses the broker between gateways and cloud: topics, batches, commands, events, status."""

if __name__ != "hesper_contracts":  # through its folder: a second copy of every class and constant
    raise ImportError(f"import hesper_contracts, not {__name__}")
