"""Handlers: what happens when something on the page is used.

No gradio in here: a handler takes the user's session and plain values, and gives `Changes`
(component name -> properties).  Each class holds one part of the page; it is given the other
parts that it draws with, lists its `Event`s with their inputs and outputs, and its `Act`s.
`composition` puts them together, `facepick_ui.wiring` connects them to widgets.  Heavy work is
handed to child processes through `App`; these modules start, watch and stop it.
"""

from facepick_ui.handlers.composition import Handlers

__all__ = ["Handlers"]
