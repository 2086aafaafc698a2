"""The experiment as a pipeline: prepare pairs, sweep over edits, keep every row."""
