"""Reading and writing video and audio with exact times."""
