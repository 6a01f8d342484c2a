"""Engines: what is done to the face of a picked person."""
