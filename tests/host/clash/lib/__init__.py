"""Another extension that owns a top-level package called lib."""

OWNER = "clash"
