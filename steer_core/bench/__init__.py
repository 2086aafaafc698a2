"""Speed, measured side by side: the one-row loop, the official batched way, and the engine."""
