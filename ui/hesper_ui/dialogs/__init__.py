"""Dialogs that change something: each says what follows; by default all stays as it is."""
