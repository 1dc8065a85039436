"""Events: one catalogue of what meters and gateways tell."""
