"""The two relational databases: the registry and the authority's own."""
