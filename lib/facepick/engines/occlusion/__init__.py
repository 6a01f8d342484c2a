"""Telling what is in front of a face from the face itself."""
