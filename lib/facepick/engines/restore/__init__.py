"""Restore a generated face: sharpen, GFPGAN, CodeFormer, RestoreFormer."""
