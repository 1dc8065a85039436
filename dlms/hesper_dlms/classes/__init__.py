"""The COSEM interface classes (IEC 62056-6-2; DLMS UA Blue Book part 2) as typed records.

Each class is a NamedTuple: its fields are the attributes in their order, and their annotations tell
how each travels. `registry` finds their descriptions, which decode and encode single attributes:

    from hesper_dlms.classes.registry import by_name, parse_attribute

    clock = by_name("clock")
    begin = clock.decode("daylight_savings_begin", data)     # a CosemDateTime
    data = clock.encode("time_zone", -60)
    clock.attribute("time").attribute_id                     # 2
    clock.method("adjust_to_minute").method_id               # 3
    parse_attribute("clock:0.0.1.0.0.255:time")              # what GET takes

A class that is not in the tables has a generic description, whose values are `axdr.Data`.
`read_object` and `write_attribute` in `hesper_dlms.client.objects` go through an association.

Is: attributes and methods of the standard, by name, with types. Is not: the behaviour of the
objects; a meter's behaviour belongs to the meter (or its simulation).
"""
