"""The COSEM objects of a simulated meter, one module a subject; `table` holds them all."""
