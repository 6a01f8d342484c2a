"""Faces in one picture: detection, alignment, mesh, quality."""
