"""Swap flow: another face in place of the person's own."""
