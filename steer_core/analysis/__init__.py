"""Judging: statistics, tables and verdicts, from answers alone. No model is known here."""
