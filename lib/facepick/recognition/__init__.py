"""Recognition of known people: verify, calibrate, keep a cast, explain."""
