"""Other DLMS implementations that may read a meter, each in a process of its own.

The default is our own stack; a template names another with ``engine``. See `pipe` for what is said
between the processes and `guard` for what our side checks whatever the engine says.
"""
