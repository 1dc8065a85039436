"""The pages of the console; each has one `build`."""
