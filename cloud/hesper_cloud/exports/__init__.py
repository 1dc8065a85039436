"""Readings on their way out of the house: CSV, Parquet, Green Button and IEC 61968-9.

Every format takes the same columns from the store (`ReadingColumns`, meter by meter, ascending in
time) and gives octets part by part, so that no export has to fit into memory. Numbers stay exact:
integers with their scaler, or the decimal text of both.
"""
