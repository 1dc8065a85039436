"""From broker to store: takes batches, validates, commits, and only then gives receipts."""
