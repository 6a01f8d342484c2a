"""facepick: find everyone in a video, pick a person, change only that person.

Importing this package is cheap: neither torch, cv2, gradio nor deepface is loaded before a
function needs it.  Most callers want `facepick.app.App`.
"""

__all__ = ["__version__"]

__version__ = "0.1.0"
