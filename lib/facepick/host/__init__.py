"""Host: the program facepick lives in, standalone or a Stable Diffusion WebUI."""
