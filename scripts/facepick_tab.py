"""The one script that the WebUI loads; everything else lies in lib/ and ui/.

Two habits of the hosts shape this file.  A1111 throws changes of ``sys.path`` away after loading,
so all packages are imported here and now; and a script is no importable module, so nothing that
must be pickled or be a dataclass may be defined here.
"""

import html
import importlib
import logging
import sys
import traceback
from pathlib import Path

import gradio as gr

# The only import of the host outside facepick.host.webui: without it a failed import of facepick
# could not be shown.
from modules import script_callbacks

ROOT = Path(__file__).resolve().parent.parent
PACKAGES = ("facepick", "facepick.app", "facepick.host.webui", "facepick_ui", "facepick_ui.webui")

log = logging.getLogger("facepick")


def import_packages():
    """Import facepick from this folder; gives the reason when that fails.

    lib/ and ui/ go on the path only while this runs: they hold one package each, whose name
    nobody else uses.  Later imports of its modules find it by the package.
    """
    folders = [str(ROOT / "lib"), str(ROOT / "ui")]
    sys.path[:0] = folders
    try:
        for name in PACKAGES:
            importlib.import_module(name)
    except Exception:
        return traceback.format_exc()
    finally:
        for folder in folders:
            sys.path.remove(folder)
    return None


failure = import_packages()


def reason_tab(trace):
    """Make a tab that says what is wrong, instead of no tab."""
    log.error("facepick could not start:\n%s", trace)
    last = trace.strip().splitlines()[-1]
    with gr.Blocks(analytics_enabled=False) as demo:
        gr.HTML(
            "<div id='facepick_failed'><h3>facepick could not start</h3>"
            f"<p><b>{html.escape(last)}</b></p>"
            "<p>Restart the WebUI with network access, so that the extension's install.py can add "
            "what is missing, or run it by hand with the WebUI's Python. If that does not help, "
            "report this text:</p>"
            f"<pre style='white-space:pre-wrap'>{html.escape(trace)}</pre></div>",
            label="",
        )
    return demo


def on_ui_tabs():
    """Give the WebUI the tab, or one that says what is wrong."""
    trace = failure
    if trace is None:
        try:
            from facepick_ui.webui import tab

            return [(tab(), "facepick", "facepick")]
        except Exception:
            trace = traceback.format_exc()
    return [(reason_tab(trace), "facepick", "facepick")]


def on_ui_settings():
    """Add facepick's options to the WebUI's settings page."""
    if failure is None:
        from facepick.host.webui import add_options

        add_options()


def on_app_started(_, server):
    """Add facepick's routes to the WebUI's server."""
    if failure is None:
        from facepick_ui.webui import add_api

        add_api(server)


script_callbacks.on_ui_tabs(on_ui_tabs)
script_callbacks.on_app_started(on_app_started)
script_callbacks.on_ui_settings(on_ui_settings)
