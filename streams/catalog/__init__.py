"""Definitions: published under a deployment that owns them, followed by all who decide (DESIGN 5.15)."""
