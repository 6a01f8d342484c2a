"""People in a whole video: tracks, identities, thumbnails, selection."""
