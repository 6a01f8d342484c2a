"""Lip-sync flow: lips that follow new speech."""
