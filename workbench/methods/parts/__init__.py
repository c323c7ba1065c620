"""Pure maths that several methods share; knows no net, no run and no bench."""
