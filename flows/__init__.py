"""Wiring: the dataflows, and the operators they are written in."""
