"""Paths of weights and cross-validation."""
