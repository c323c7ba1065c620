"""Frozen teachers: exact mixtures, trained nets, guidance, and models of other libraries."""
