"""Views for the browser: one .py and one .js each. Arrays in, events out; they know nothing of the workbench."""
