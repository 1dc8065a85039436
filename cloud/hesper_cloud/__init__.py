"""The head end: consumers, stores, registry, rules, command authority and REST API."""

if __name__ != "hesper_cloud":  # through its folder: a second copy of every class and constant
    raise ImportError(f"import hesper_cloud, not {__name__}")
