"""Blending of changed faces into the picture, inside their mask only."""
