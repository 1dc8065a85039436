"""Rules: readings, events and silence become alerts, raised once and cleared with hysteresis."""
