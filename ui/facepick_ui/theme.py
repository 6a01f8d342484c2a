"""The look of the standalone app; in a WebUI the host's own look is used."""

from __future__ import annotations

from typing import Any

import gradio as gr

__all__ = ["theme"]


def theme() -> Any:
    """Calm slate with one accent, in dark and light, with the system's own fonts.

    System fonts, because web fonts would be fetched from a server of somebody else.
    """
    return gr.themes.Base(
        primary_hue=gr.themes.colors.indigo,
        secondary_hue=gr.themes.colors.indigo,
        neutral_hue=gr.themes.colors.slate,
        radius_size=gr.themes.sizes.radius_md,
        font=["system-ui", "-apple-system", "Segoe UI", "Noto Sans", "sans-serif"],
        font_mono=["ui-monospace", "Consolas", "monospace"],
    ).set(
        button_primary_background_fill="*primary_600",
        button_primary_background_fill_hover="*primary_500",
        button_primary_text_color="white",
        button_primary_background_fill_dark="*primary_600",
        button_primary_background_fill_hover_dark="*primary_500",
        block_label_text_size="*text_sm",
    )
