"""Many training runs from one plan, and the table that compares them."""
