"""What happens when something on the page is used.

No gradio in here: a handler takes the key of the session and plain values, and gives `Changes`
(component name -> properties).  `facepick_ui.tab` wires them to widgets.  Heavy work is handed to
child processes through `App`; these modules start, watch and stop it.

One module a part of the page, each building on those before it: `base`, `players`, `results`,
`flows`, `people`, `corrections`, `cast`, `video`, `render`; `page` puts them together.
"""

from facepick_ui.handlers.page import Handlers

__all__ = ["Handlers"]
