"""What is wrong with a row of an import, by its code, in a word or two."""

from hesper_ui.words import later, say

MISTAKES = {
    "ambiguous_date": later("ambiguous date"),
    "ambiguous_number": later("ambiguous number"),
    "ambiguous_sim": later("ambiguous SIM card"),
    "area_not_yours": later("area not yours"),
    "changed_meanwhile": later("changed meanwhile"),
    "control_character": later("control character"),
    "day_number": later("day as a number"),
    "deleted": later("deleted"),
    "gateway_fixed": later("gateway fixed"),
    "known_already": later("known already"),
    "meter_has_sim": later("meter has a SIM card"),
    "meter_taken": later("meter taken"),
    "missing": later("missing"),
    "no_such_day": later("no such day"),
    "no_such_step": later("no such step"),
    "not_a_date": later("not a date"),
    "not_a_gateway": later("not a gateway"),
    "not_a_meter": later("not a meter"),
    "not_a_number": later("not a number"),
    "not_a_phone_number": later("not a phone number"),
    "not_a_port": later("not a port"),
    "not_allowed": later("not allowed"),
    "not_an_apn": later("not an APN"),
    "not_an_email": later("not an e-mail address"),
    "not_an_iccid": later("not an ICCID"),
    "not_an_imsi": later("not an IMSI"),
    "not_an_ip_address": later("not an IP address"),
    "not_an_msisdn": later("not an MSISDN"),
    "number_taken": later("number taken"),
    "other_gateway": later("another gateway"),
    "short_year": later("short year"),
    "shortened_number": later("shortened number"),
    "sim_in_use": later("SIM card in use"),
    "sim_retired": later("SIM card retired"),
    "sim_taken": later("SIM card taken"),
    "too_large": later("too large"),
    "too_long": later("too long"),
    "too_many_cells": later("too many cells"),
    "twice_in_file": later("twice in the file"),
    "unknown_area": later("unknown area"),
    "unknown_customer": later("unknown customer"),
    "unknown_gateway": later("unknown gateway"),
    "unknown_meter": later("unknown meter"),
    "unknown_sim": later("unknown SIM card"),
    "unknown_tariff": later("unknown tariff"),
    "unknown_unit": later("unknown unit"),
    "year_out_of_range": later("year out of range"),
}


def mistake(code: str) -> str:
    """Returns what a code means; the code itself, spaced, where no words are known."""
    return say(MISTAKES.get(code, code.replace("_", " ")))
