"""Hide flow: a face pixelated, blurred or covered."""
