"""Means of several independent networks, beside their ensembles."""
