"""Hide a face: pixelate, blur, cover."""
