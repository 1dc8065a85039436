"""Physical channels to meters: TCP, serial, meters that call us, and ports that only listen."""
