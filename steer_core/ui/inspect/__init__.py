"""The section *Why* of the first tab, and the tab *Atlas*: instruments on the page."""
