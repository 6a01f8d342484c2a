"""Page: what a tab was built with, and what can be chosen on it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from facepick.engines.engine import EngineSpec
from facepick.models.spec import ModelSpec
from facepick_ui import messages
from facepick_ui.changes import Changes
from facepick_ui.messages import text
from facepick_ui.settings_form import Panel, Widget

if TYPE_CHECKING:
    from facepick.app import App

__all__ = ["PLAN_INPUTS", "REVIEW", "SOUND_FILES", "SPEECH_OUTPUT", "SPEECH_PARTS", "Page"]

PLAN_INPUTS = (
    "flow", "style", "speech", "recording", "speech_text", "phones", "speech_start",
    "speech_offset", "speech_duration", "lines", "everyone_but", "consent", "consent_note",
    "preview_seconds",
)  # fmt: skip

FILES = ("speech", "recording", "phones", "lines")
"""Inputs of a plan that are files; settings say so themselves."""

KEPT = ("live_frame", "project_video", "source_name")
"""What else is kept as it was left."""

SPEECH_PARTS = (
    "speech", "recording", "lines", "speech_start", "speech_offset", "speech_duration",
)  # fmt: skip
"""Widgets that say what is heard, and when."""

REVIEW = "output_review"
"""Widget of the language of the page beside a result: this page's own, unless it is changed."""

SPEECH_OUTPUT = ("original", "length")
SOUND_FILES = ("soundtrack", "background", "separate")
"""Settings of the output that only matter to new speech, and stand beside it."""


@dataclass(eq=False)
class Page:
    """What a tab was built with.

    Attributes:
        app: the core.
        language: the language it was built in; a browser may be shown another one.
        demo: the clip that comes with facepick, or None.
        components: gradio's, by name; the element id is ``facepick_`` + name.
        panels: one an engine.
        scan_widgets, encode_widgets, output_widgets: settings of scan, encoder and output.
        groups: widgets that stand together, by name, for `only_when`.
        labelled: component, property and word key, for all words that are not settings.
        hints: quiet lines, component and word key.
        local: whether whoever sees the page sits at this machine, so that folders can be opened.
        at_machine: whether only users of this machine can reach the page: they see its batches.
        tick_ms: after how long without a change the page asks for progress by itself.
    """

    app: App
    language: str
    demo: Path | None
    components: dict[str, Any] = field(default_factory=dict)
    panels: list[Panel] = field(default_factory=list)
    scan_widgets: list[Widget] = field(default_factory=list)
    encode_widgets: list[Widget] = field(default_factory=list)
    output_widgets: list[Widget] = field(default_factory=list)
    groups: dict[str, list[Widget]] = field(default_factory=dict)
    labelled: list[tuple[str, str, str]] = field(default_factory=list)
    hints: dict[str, str] = field(default_factory=dict)
    local: bool = False
    at_machine: bool = False
    tick_ms: int = 4000

    def specs(self, flow: str) -> list[EngineSpec]:
        """List the engines of a flow, those first that can be used."""
        found = [p.spec for p in self.panels if p.spec.flow == flow]
        return sorted(found, key=lambda spec: bool(self.missing(spec)))

    def missing(self, spec: EngineSpec) -> list[ModelSpec]:
        """List the model files that an engine lacks on this machine."""
        return self.app.engine_lacks(spec)

    def lacks(self, choice: str) -> bool:
        """Say whether a choice of a setting is a network whose file is not on this machine."""
        return bool(self.app.choice_lacks(choice))

    def may_lack(self, widget: Widget) -> bool:
        """Say whether some choices of a setting are networks that may not be here."""
        return widget.field.kind == "choice" and any(
            self.app.choice_lacks(choice) is not None for choice in widget.field.ui.choices
        )

    def flows(self) -> list[str]:
        """List the flows that have engines."""
        return list(self.app.registry.flows())

    def first_choice(self) -> tuple[str, str]:
        """Choose flow and engine for a fresh page."""
        flow = next(iter(self.flows()), "")
        return flow, next((s.id for s in self.specs(flow)), "")

    def flow_choices(self, language: str) -> list[tuple[str, str]]:
        """List label and value of each flow."""
        return [(text(f"flow_{flow}", language), flow) for flow in self.flows()]

    def style_choices(self, flow: str, language: str, chosen: str = "") -> list[tuple[str, str]]:
        """List label and value of each engine of a flow that can be used.

        Args:
            chosen: one that is listed even if it lacks a file; its label says so.
        """
        return [
            (
                messages.engine_label(spec.label, language)
                + (" " + text("needs_file", language) if lacking else ""),
                spec.id,
            )
            for spec in self.specs(flow)
            if not (lacking := self.missing(spec)) or spec.id == chosen
        ]

    def words(self, language: str) -> Changes:
        """Give every label in a language."""
        changes: Changes = {}
        for name, what, key in self.labelled:
            changes.setdefault(name, {})[what] = text(key, language)
        for widget in self.widgets():
            changes[widget.name] = widget.words(language)
        # A row that cannot work is dead as a whole, and says why.
        usable = {"interactive": bool(self.app.host.input_roots())}
        for place, button in (("path", "open"), ("season_path", "season_run")):
            changes[place] = {**changes[place], **usable, "info": self.path_help(language)}
            changes[button] = {**changes[button], **usable}
        changes["flow"] = {
            "label": text("flow", language), "choices": self.flow_choices(language)
        }  # fmt: skip
        return changes

    def path_help(self, language: str) -> str:
        """Say in which folders a video may be opened by its path."""
        roots = ", ".join(map(str, self.app.host.input_roots()))
        if not roots:
            return text("path_none", language)
        return text("path_help", language, roots=roots)

    def widgets(self) -> Iterator[Widget]:
        """List every setting on the page."""
        for panel in self.panels:
            yield from panel.widgets
        yield from self.scan_widgets
        yield from self.encode_widgets
        yield from self.output_widgets

    def plan_names(self) -> list[str]:
        """List the widgets whose values make a plan, in the order `plan_values` takes them."""
        made = [w.name for p in self.panels for w in p.widgets]
        made += [w.name for w in (*self.encode_widgets, *self.output_widgets)]
        return [*PLAN_INPUTS, *made]

    def plan_values(self, values: Sequence[Any]) -> dict[str, Any]:
        """Give the values by name."""
        return dict(zip(self.plan_names(), values, strict=True))

    def file_names(self) -> set[str]:
        """List the widgets whose values are files."""
        return {*FILES, *(w.name for w in self.widgets() if w.field.kind == "file")}

    def noted_names(self) -> list[str]:
        """List the widgets whose values are kept: of a plan, of the scan, and `KEPT`."""
        return [*self.plan_names(), *(w.name for w in self.scan_widgets), *KEPT]
