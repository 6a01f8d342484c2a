"""Putting changed faces back into the picture, inside their mask only."""
