"""Views for the browser: arrays in, events out. One view is a module and the script beside it."""
