"""The edge agent: lines, sessions, schedule, outbox, uplink and command execution."""
