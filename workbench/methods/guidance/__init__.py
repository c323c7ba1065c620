"""Rules that fold guidance into the network."""
