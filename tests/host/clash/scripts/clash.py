"""Another extension, careless with names: it imports its own lib and ui."""

import lib
import ui

assert lib.OWNER == "clash", lib.__file__
assert ui.OWNER == "clash", ui.__file__
print("CLASH IMPORTED ITS OWN")
