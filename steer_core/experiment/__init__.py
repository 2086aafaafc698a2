"""Sweeps over pairs, one problem over alpha, and the statistics of both."""
