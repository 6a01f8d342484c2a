"""Another extension that owns a top-level package called ui."""

OWNER = "clash"
