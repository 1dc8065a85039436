"""What crosses the broker between gateways and cloud: topics, batches, commands, events, status."""
