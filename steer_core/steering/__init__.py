"""Edits, directions, and decoding with them."""
