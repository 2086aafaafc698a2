"""The files that the seed experiment stored: readers, and what is wrong with them."""
