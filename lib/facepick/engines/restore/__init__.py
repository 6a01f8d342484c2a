"""Give a re-made face its detail back."""
