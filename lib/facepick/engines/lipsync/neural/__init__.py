"""Neural lip-sync engines: Wav2Lip and EdTalk."""
