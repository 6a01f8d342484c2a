"""Engines that change the face of a picked person."""
