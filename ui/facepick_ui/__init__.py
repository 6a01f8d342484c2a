"""The tab of facepick: in A1111 and Forge, and as the standalone app."""
