"""Swap the face."""
