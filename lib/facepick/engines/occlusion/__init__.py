"""Occlusion: what is in front of a face, told from the face itself."""
