"""Stand-in of the host's callbacks: the three that facepick uses."""

tabs, settings = [], []


def on_ui_tabs(callback):
    tabs.append(callback)


def on_ui_settings(callback):
    settings.append(callback)


def clear():
    tabs.clear()
    settings.clear()
