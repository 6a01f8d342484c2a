"""Model files: their list, their places, and fetching of them."""
