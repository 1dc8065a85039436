"""What is stored of one customer's meter is removed on an administrator's order."""
