"""Instruments: what can be seen inside latent thoughts, as plain data; nothing is drawn here."""
