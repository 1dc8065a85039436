"""Validation, estimation and editing (VEE): what a reading is worth before a bill rests on it.

`checks` are pure functions over numpy columns; `judge` runs those that a meter's quantities allow
over a `Sheet` (meters × captures of one local day). `misread` says where a register shows what it
cannot have been. `estimate` fills gaps of registers,
`substitutes` keeps estimates and a person's edits beside the raw values, which are never
overwritten, and `view` puts both together with quality codes. `codes` is the table of them.
"""
