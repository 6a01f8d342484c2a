"""Review of a finished result: one page for people, which stands alone."""
