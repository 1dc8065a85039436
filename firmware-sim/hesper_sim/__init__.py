"""Simulated meters: a DLMS server fleet with a load and grid model, and faults on request."""
