"""Built-in lip sync: the person's own mouth, re-timed to new speech."""
