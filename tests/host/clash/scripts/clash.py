"""Another extension, careless with names: it imports its own lib and ui."""

import sys

import lib
import ui

assert lib.OWNER == "clash", lib.__file__
assert ui.OWNER == "clash", ui.__file__
sys.stdout.write("CLASH IMPORTED ITS OWN\n")
