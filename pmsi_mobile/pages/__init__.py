"""Self-contained HTML pages of results: one look, no network."""
