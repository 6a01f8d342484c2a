"""Measurements of finished results."""
