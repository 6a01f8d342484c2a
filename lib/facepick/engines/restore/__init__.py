"""Restoration of the detail of a re-made face."""
