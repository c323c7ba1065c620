"""Students as others load them."""
