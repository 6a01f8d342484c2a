"""Shots: the stretches of a video between two cuts."""
