"""Dialogs that change something: each asks once, says what follows, and keeps things as they are by default."""
