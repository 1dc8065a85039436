"""The head end: consumers, stores, registry, rules, command authority and REST API."""
