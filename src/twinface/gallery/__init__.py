"""People and their templates, kept in one file."""
