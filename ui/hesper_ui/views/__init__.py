"""View models: records in, words and numbers out; no element is made here."""
