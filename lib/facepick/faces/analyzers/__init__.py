"""The analyzers that `facepick.faces.analyzer` describes, one per file."""
