"""Re-sync the lips to new speech."""
