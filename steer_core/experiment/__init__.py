"""Sweeps over pairs, one problem over alpha."""
