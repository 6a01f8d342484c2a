"""Recognition of known people: verification, calibration, cast, explanation."""
