"""`hesper-dlms`: one meter, or a captured line, on an engineer's desk."""
