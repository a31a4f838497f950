"""Measurements of the whole job on real services. Each ends with the oracle's comparison."""
