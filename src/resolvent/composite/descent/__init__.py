"""Descent along coordinates and groups of a generalized linear model."""
