"""Outages: power-loss events become one outage with its extent."""
