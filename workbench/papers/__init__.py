"""The papers: one record each (``<slug>.toml``), the evidence for it (``evidence/<slug>.json``), and what runs both."""
