"""Inputs as users hand them over, and as networks take them: pictures, rows of tables, vectors."""
