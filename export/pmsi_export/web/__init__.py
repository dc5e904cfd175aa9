"""The model in a browser: a static page around exported files."""
