"""Plan and carry out the second pass over the video."""
