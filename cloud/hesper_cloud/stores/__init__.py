"""Where readings live: one port, an embedded adapter (DuckDB) and a production one (InfluxDB)."""
