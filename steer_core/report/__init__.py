"""Reports of finished runs: one self-contained HTML file, or Markdown."""
