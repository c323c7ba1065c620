"""Notebooks as jobs: parameters checked before, executed by papermill, recorded in a folder of their own."""
