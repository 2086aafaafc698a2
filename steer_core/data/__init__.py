"""Word problems: templates, generated pairs, pair files and their audit."""
