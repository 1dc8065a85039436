"""What happens now, handed to those who are in its room."""
