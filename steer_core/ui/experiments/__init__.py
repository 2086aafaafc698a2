"""The second tab: whole experiments, from pairs to a report, and those that are stored."""
