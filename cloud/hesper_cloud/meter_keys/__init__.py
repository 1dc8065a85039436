"""Keys of meters at rest: what the head end keeps of them, changes, and takes from shipments."""
