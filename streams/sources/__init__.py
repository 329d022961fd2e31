"""Configured ways in: what a bucket or a folder reports, as events."""
