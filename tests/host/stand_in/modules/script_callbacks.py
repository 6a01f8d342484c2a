"""Stand-in of the host's callbacks: those that facepick uses."""

tabs, settings, started = [], [], []


def on_ui_tabs(callback):
    tabs.append(callback)


def on_ui_settings(callback):
    settings.append(callback)


def on_app_started(callback):
    started.append(callback)


def clear():
    for callbacks in (tabs, settings, started):
        callbacks.clear()
