"""Second pass over the video: its plan, and carrying it out."""
