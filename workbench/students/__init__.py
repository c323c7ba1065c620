"""How students are born."""
