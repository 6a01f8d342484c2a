"""The tab: layout, and which handler answers which widget."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import gradio as gr

from facepick.engines.engine import EngineSpec
from facepick.engines.restore.restorer import RESTORERS, spec_in_use
from facepick.errors import FacepickError
from facepick.media.writer import EncodeSettings
from facepick.models.catalog import XSEG
from facepick.models.spec import ModelSpec
from facepick.people.finder import ScanSettings
from facepick.render.plan import OutputSettings
from facepick_ui import compat, messages, views
from facepick_ui.compat import Changes, build
from facepick_ui.flow_panels import Panel, Widget, engine_panel, settings_widgets
from facepick_ui.handlers import Handlers
from facepick_ui.handlers.players import PLAYERS
from facepick_ui.messages import text

if TYPE_CHECKING:
    from facepick.app import App

__all__ = ["Page", "Tab", "build_tab"]

VIDEO_HEIGHT_PX = 300

PLAN_INPUTS = (
    "flow", "style", "speech", "recording", "speech_text", "phones", "speech_start",
    "speech_offset", "speech_duration", "lines", "everyone_but", "consent", "consent_note",
    "preview_seconds",
)  # fmt: skip

NO_BUTTONS: dict[str, Any] = {
    "buttons": [], "show_share_button": False, "show_download_button": False
}  # fmt: skip
"""In the words of all generations.  Gradio's button for sharing sends the file to a server."""

SPEECH_PARTS = (
    "speech", "recording", "lines", "speech_start", "speech_offset", "speech_duration",
)  # fmt: skip
"""Widgets that say what is heard, and when."""

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
        components: every widget by name; the element id is ``facepick_`` + name.
        panels: one an engine.
        scan_widgets, encode_widgets, output_widgets: settings of scan, encoder and output.
        groups: widgets that stand together, by name, for `only_when`.
        labelled: component, property and word key, for all words that are not settings.
        hints: quiet lines, component and word key.
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
    tick_ms: int = 4000

    def specs(self, flow: str) -> list[EngineSpec]:
        """The engines of a flow, those first that can be used."""
        found = [p.spec for p in self.panels if p.spec.flow == flow]
        return sorted(found, key=lambda spec: bool(self.missing(spec)))

    def missing(self, spec: EngineSpec) -> list[ModelSpec]:
        """The model files that an engine lacks on this machine."""
        models = self.app.models
        lacking = [m for m in spec.models if models.find(m) is None]
        if lacking:
            # Some are also known by their content, whatever their name.
            try:
                self.app.registry.get(spec.flow, spec.id).preflight(spec.settings(), models)
            except FacepickError:
                return lacking
            return []
        return lacking

    def lacks(self, choice: str) -> bool:
        """Whether a choice of a setting is a network whose file is not on this machine."""
        if choice == "xseg":
            return self.app.models.find(XSEG) is None
        return choice in RESTORERS[2:] and spec_in_use(choice, self.app.models) is None

    def may_lack(self, widget: Widget) -> bool:
        """Whether some choices of a setting are networks that may not be here."""
        return widget.field.kind == "choice" and bool(
            {*RESTORERS[2:], "xseg"} & set(widget.field.ui.choices)
        )

    def flows(self) -> list[str]:
        return list(self.app.registry.flows())

    def first_choice(self) -> tuple[str, str]:
        """Flow and engine that a fresh page shows."""
        flow = next(iter(self.flows()), "")
        return flow, next((s.id for s in self.specs(flow)), "")

    def flow_choices(self, language: str) -> list[tuple[str, str]]:
        return [(text(f"flow_{flow}", language), flow) for flow in self.flows()]

    def style_choices(self, flow: str, language: str) -> list[tuple[str, str]]:
        return [
            (
                messages.engine_label(spec.label, language)
                + (" " + text("needs_file", language) if self.missing(spec) else ""),
                spec.id,
            )
            for spec in self.specs(flow)
        ]

    def words(self, language: str) -> Changes:
        """Every label in a language."""
        changes: Changes = {}
        for name, what, key in self.labelled:
            changes.setdefault(name, {})[what] = text(key, language)
        for widget in self.widgets():
            changes[widget.name] = widget.words(language)
        if "path" in self.components:
            changes["path"] = {**changes["path"], "info": self.path_help(language)}
        changes["flow"] = {
            "label": text("flow", language), "choices": self.flow_choices(language)
        }  # fmt: skip
        return changes

    def path_help(self, language: str) -> str:
        roots = ", ".join(map(str, self.app.host.input_roots()))
        if not roots:
            return text("path_none", language)
        return text("path_help", language, roots=roots)

    def widgets(self) -> Iterator[Widget]:
        """Every setting on the page."""
        for panel in self.panels:
            yield from panel.widgets
        yield from self.scan_widgets
        yield from self.encode_widgets
        yield from self.output_widgets

    def plan_names(self) -> list[str]:
        """The widgets whose values make a plan, in the order `plan_values` takes them."""
        made = [w.name for p in self.panels for w in p.widgets]
        made += [w.name for w in (*self.encode_widgets, *self.output_widgets)]
        return [*PLAN_INPUTS, *made]

    def plan_values(self, values: Sequence[Any]) -> dict[str, Any]:
        """The values by name."""
        return dict(zip(self.plan_names(), values, strict=True))


@dataclass(frozen=True, eq=False)
class Tab:
    """A tab that was built.

    Attributes:
        blocks: gradio's.
        page: what it was built with.
        handlers: what answers it.
    """

    blocks: Any
    page: Page
    handlers: Handlers


def build_tab(app: App, *, standalone: bool = False, queue: bool = True, **look: Any) -> Tab:
    """Build the tab.

    Args:
        app: the core.
        standalone: whether the page is all there is, so that it brings its own language menu.
        queue: False when the host has switched gradio's queue off; progress is then asked for
            by the page, once a second.
        look: css, head and theme, for generations that take them here.
    """
    language = app.host.language() or "en"
    page = Page(app=app, language=language, demo=_demo_clip(), tick_ms=4000 if queue else 1000)
    with compat.blocks(title="facepick", **look) as blocks:
        handlers = Handlers(app, page)
        state = compat.state(handlers.tidy)
        _Layout(page, standalone=standalone).build()
        _Wiring(page, handlers, state, queue=queue).connect()
    handlers.tidy()
    return Tab(blocks, page, handlers)


def _demo_clip() -> Path | None:
    import facepick

    path = Path(facepick.__file__).parent / "data" / "demo" / "two_people.mp4"
    return path if path.is_file() else None


class _Layout:
    """Builds the widgets in the order in which they are used."""

    def __init__(self, page: Page, *, standalone: bool) -> None:
        self.page = page
        self.language = page.language
        self.standalone = standalone

    def t(self, key: str, **values: Any) -> str:
        return text(key, self.language, **values)

    def add(self, name: str, kind: str, **options: Any) -> Any:
        """A widget called `name`.  ``words="KEY"`` gives it its label in every language."""
        words = options.pop("words", None)
        if words is not None:
            what = "value" if kind == "Button" else "label"
            options[what] = self.t(words)
            self.page.labelled.append((name, what, words))
        help_words = options.pop("help_words", None)
        if help_words is not None:
            options["info"] = self.t(help_words)
            self.page.labelled.append((name, "info", help_words))
        component = build(kind, elem_id=f"facepick_{name}", **options)
        self.page.components[name] = component
        return component

    def html(self, name: str, value: str = "", *, visible: bool | None = None) -> Any:
        return self.add(
            name,
            "HTML",
            value=value,
            visible=bool(value) if visible is None else visible,
            label="",
            padding=False,
        )

    def widgets(self, made: list[Widget]) -> list[Widget]:
        for widget in made:
            self.page.components[widget.name] = widget.component
        return made

    def build(self) -> None:
        with self.add("root", "Column"):
            self._header()
            self._models()
            for number, key in enumerate(("video", "people", "what", "render"), 1):
                if key == "render":
                    self._render_bar()
                with self.add(f"{key}_card", "Column", variant="panel"):
                    self.html(
                        f"{key}_title", views.card_title(number, f"step_{key}", self.language)
                    )
                    getattr(self, f"_{key}")()
            self._bridge()

    def _header(self) -> None:
        with self.add("header_row", "Row"):
            with build("Column", scale=5, min_width=240):
                self.html("header", views.header(self.language))
            if self.standalone:
                with build("Column", scale=1, min_width=140):
                    self.add(
                        "language",
                        "Dropdown",
                        choices=[(label, code) for code, label in messages.LANGUAGES.items()],
                        value=self.language,
                        words="language",
                        show_label=False,
                        container=False,
                        filterable=False,
                    )

    def _models(self) -> None:
        """Below the header; it stays in view while the page is scrolled."""
        with self.add("models_block", "Column", variant="panel", visible=False):
            self.html("models_note")
            self.html("models_progress")
            with self.add("models_row", "Row"):
                self.add("get_models", "Button", words="get_models", variant="primary", scale=2)
                self.add("models_later", "Button", words="models_later", scale=1, min_width=110)

    def _video(self) -> None:
        with self.add("video_row", "Row", equal_height=False):
            with build("Column", scale=3, min_width=300):
                self.add(
                    "video",
                    "Video",
                    words="video",
                    sources=["upload"],
                    height=VIDEO_HEIGHT_PX,
                    interactive=True,
                    include_audio=True,
                )
                self.html("video_player")
            with self.add("video_side", "Column", scale=2, min_width=280):
                self.html("facts", views.empty("no_video", self.language))
                self.add("demo", "Button", words="demo", visible=self.page.demo is not None)
                self.add("scan", "Button", words="scan", variant="primary", interactive=False)
                self.html("scan_progress")
                self.add("scan_stop", "Button", words="stop", variant="stop", visible=False)
        with self.add("video_advanced", "Accordion", words="advanced", open=False):
            with self.add("path_row", "Row"):
                self.add(
                    "path",
                    "Textbox",
                    words="path",
                    info=self.page.path_help(self.language),
                    scale=5,
                )
                self.add("open", "Button", words="open", scale=1, min_width=90)
            with self.add("scan_settings", "Column"):
                made = settings_widgets(ScanSettings, "scan_", self.language)
                self.page.scan_widgets = self.widgets(made)
                self.page.groups["scan"] = self.page.scan_widgets

    def _people(self) -> None:
        self.html("people_note", views.empty("people_empty", self.language))
        with self.add("people_row", "Row", equal_height=False):
            with self.add("picking", "Column", scale=2, min_width=280, visible=False):
                self.hint("people_hint", "people")
                self.gallery("people", "people", columns=4)
                with self.add("pick_row", "Row"):
                    self.add("pick_all", "Button", words="pick_all", size="sm", min_width=100)
                    self.add("pick_none", "Button", words="pick_none", size="sm", min_width=100)
                    self.add(
                        "by_photo",
                        "UploadButton",
                        words="by_photo",
                        size="sm",
                        min_width=100,
                        file_types=["image"],
                    )
                self.html("picked")
                self.hint("unsure_hint", "unsure_people", visible=False)
                self.gallery("unsure_people", "unsure_people", columns=6)
                with self.add("crowd", "Accordion", words="crowd", open=False, visible=False):
                    self.gallery("bystanders", "crowd", columns=6)
            with self.add("looking", "Column", scale=3, min_width=300, visible=False):
                self.html("frame")
                self.add("time", "Slider", words="time", minimum=0, maximum=1, step=0.04, value=0)
        self.html("timeline")
        with self.add("edit", "Accordion", words="edit", open=False, visible=False):
            self.html("edit_note")
            with self.add("name_row", "Row"):
                self.add("name", "Textbox", words="name", max_lines=1, scale=3)
                self.add("rename", "Button", words="rename", scale=1, min_width=110)
                self.add("remember", "Button", words="remember", scale=1, min_width=160)
            with self.add("edit_row", "Row"):
                self.add("merge", "Button", words="merge", size="sm")
                self.add("join_likely", "Button", words="join_likely", size="sm")
                self.add("show_tracks", "Button", words="tracks_show", size="sm")
                self.add("ignore", "Button", words="ignore", size="sm")
                self.add("unignore", "Button", words="unignore", size="sm", visible=False)
                self.add("undo", "Button", words="undo", size="sm")
            self.hint("tracks_hint", "tracks", visible=False)
            self.gallery("tracks", "tracks", columns=6)
            self.add("split", "Button", words="split", visible=False)
        with self.add("known", "Accordion", words="known", open=False, visible=False):
            self.hint("known_hint", "known_hint")
            self.html("known_note")
            self.html("known_list")
        self._explain()

    def _explain(self) -> None:
        with self.add("explain", "Accordion", words="explain", open=False):
            self.hint("explain_hint", "explain_hint")
            with self.add("explain_row", "Row"):
                for name in ("explain_a", "explain_b"):
                    self.add(
                        name, "Image", words=name, sources=["upload"], type="filepath",
                        height=200, interactive=True, format="png", min_width=200, **NO_BUTTONS,
                    )  # fmt: skip
            self.add("explain_run", "Button", words="explain_run")
            self.html("explain_note")
            self.html("explain_sheet")

    def hint(self, name: str, key: str, *, visible: bool = True) -> None:
        self.html(name, views.hint(key, self.language), visible=visible)
        self.page.hints[name] = key

    def gallery(self, name: str, words: str, *, columns: int) -> None:
        self.add(
            name,
            "Gallery",
            words=words,
            show_label=False,
            columns=columns,
            object_fit="cover",
            allow_preview=False,
            interactive=False,
            format="jpeg",
            **NO_BUTTONS,
            show_fullscreen_button=False,
            visible=False,
            height="auto",
        )

    def _what(self) -> None:
        self.html("what_note", views.empty("what_empty", self.language))
        flows = self.page.flows()
        first = flows[0] if flows else ""
        with self.add("what", "Column", visible=False):
            self.html("for_people")
            self.add(
                "flow",
                "Radio",
                choices=self.page.flow_choices(self.language),
                value=first,
                label=self.t("flow"),
            )
            specs = self.page.app.registry.of_flow(first) if first else ()  # type: ignore[arg-type]
            self.add(
                "style",
                "Radio",
                choices=[(messages.engine_label(e.spec.label, self.language), e.spec.id)
                         for e in specs],
                value=specs[0].spec.id if specs else None,
                words="style",
                visible=bool(specs),
            )  # fmt: skip
            self.add(
                "everyone_but",
                "Checkbox",
                words="everyone_but",
                value=False,
                visible=first == "hide",
            )
            help_text = specs[0].spec.help if specs else ""
            label = specs[0].spec.label if specs else ""
            hint = messages.engine_help(label, help_text, self.language)
            self.html("style_help", f'<p class="facepick-hint">{hint}</p>')
            self._speech_inputs()
            self._swap_inputs()
            for engine in self.page.app.registry.all():
                spec = engine.spec
                visible = spec.flow == first and spec.id == (specs[0].spec.id if specs else "")
                panel, advanced = engine_panel(
                    spec, self.language, visible=visible, lacks=self.page.lacks
                )
                self.page.panels.append(panel)
                self.page.components[panel.name] = panel.column
                self.widgets(list(panel.widgets))
                self.page.groups[panel.name] = list(panel.widgets)
                if advanced is not None:
                    name = f"{panel.name}_advanced"
                    self.page.components[name] = advanced
                    self.page.labelled.append((name, "label", "advanced"))
            self.add("keep", "Button", words="keep")
        self.html("what_problem")
        self.html("assignments")

    def _speech_inputs(self) -> None:
        with self.add("speech_inputs", "Column", visible=False):
            self.hint("speech_hint", "speech_hint")
            with self.add("speech_row", "Row", equal_height=False):
                with build("Column", scale=3, min_width=300):
                    self.add(
                        "speech", "Audio", words="speech", sources=["upload"],
                        type="filepath", interactive=True, **NO_BUTTONS,
                    )  # fmt: skip
                    self.add("record", "Button", words="record", size="sm")
                    # A component of its own: gradio 3 knows one source for each.  Not yet
                    # interactive: the recorder of gradio 4 asks for the microphone as soon as it
                    # is on the page, seen or not.
                    self.add(
                        "recording", "Audio", words="recording", sources=["microphone"],
                        type="filepath", interactive=False, visible=False, **NO_BUTTONS,
                    )  # fmt: skip
                with build("Column", scale=2, min_width=260):
                    self.add(
                        "speech_text", "Textbox", words="speech_text",
                        help_words="speech_text_help", lines=3, max_lines=8,
                    )  # fmt: skip
                    self.add(
                        "phones", "File", words="phones", file_count="single", height=130,
                        interactive=True,
                    )  # fmt: skip
                    self.hint("phones_help", "phones_help")
            with self.add("timing", "Accordion", words="timing", open=False):
                with self.add("timing_row", "Row"):
                    for name in ("speech_start", "speech_offset", "speech_duration"):
                        self.add(
                            name, "Number", words=name, help_words=f"{name}_help", value=0,
                            minimum=0, min_width=170,
                        )  # fmt: skip
                self.hint("lines_hint", "lines_hint")
                self.add(
                    "lines", "File", words="lines", file_count="multiple", height=130,
                    interactive=True,
                )  # fmt: skip
            self.html("speech_note", visible=False)
            with self.add("sound_row", "Row"):
                self.page.output_widgets += self.widgets(
                    settings_widgets(OutputSettings, "output_", self.language, only=SPEECH_OUTPUT)
                )
            self.hint("sound_hint", "sound_hint")
            with self.add("sound_files", "Accordion", words="sound_files", open=False):
                self.hint("sound_files_hint", "sound_files_hint")
                with self.add("sound_files_row", "Row"):
                    self.page.output_widgets += self.widgets(
                        settings_widgets(OutputSettings, "output_", self.language, only=SOUND_FILES)
                    )

    def _swap_inputs(self) -> None:
        with self.add("swap_inputs", "Column", visible=False):
            self.hint("source_hint", "source_hint")
            with self.add("source_row", "Row", equal_height=False):
                with build("Column", scale=2, min_width=260):
                    self.add(
                        "source", "File", words="source", file_count="multiple",
                        file_types=["image"], height=140, interactive=True,
                    )  # fmt: skip
                with build("Column", scale=3, min_width=280):
                    self.html("source_list")
            self.html("source_note")
            self.html("source_count")
            self.gallery("source_faces", "source_faces", columns=6)
            with self.add("source_save_row", "Row", visible=False):
                self.add(
                    "source_name", "Textbox", words="source_name", max_lines=1, scale=3,
                    min_width=200,
                )  # fmt: skip
                self.add("source_save", "Button", words="source_save", scale=1, min_width=120)
                self.add("source_clear", "Button", words="source_clear", scale=1, min_width=140)
            self.html("consent_problem", visible=False)
            self.add("consent", "Checkbox", words="consent", help_words="consent_help", value=False)
            self.add(
                "consent_note", "Textbox", words="consent_note", help_words="consent_note_help",
                max_lines=2,
            )  # fmt: skip

    def _render_bar(self) -> None:
        """What is missing, the buttons, and the running job: at the window's lower edge until
        their place is reached, so that they are in sight however long the cards above are."""
        with self.add("render_bar", "Column"):
            self.html("render_note", visible=False)
            with self.add("render_row", "Row"):
                for name in ("preview", "preview_hard"):
                    self.add(name, "Button", words=name, interactive=False, min_width=130)
                self.add(
                    "render", "Button", words="render", variant="primary", interactive=False,
                    min_width=130,
                )  # fmt: skip
                self.add(
                    "stop", "Button", words="stop", variant="stop", interactive=False,
                    min_width=90,
                )  # fmt: skip
            self.html("card_note", visible=False)
            self.html("progress", visible=False)

    def _render(self) -> None:
        self.add(
            "preview_video", "Video", words="preview_video", interactive=False, visible=False,
            height=360,
        )  # fmt: skip
        self.html("preview_player")
        with self.add("result_row", "Column", visible=False):
            with self.add("result_videos", "Row"):
                self.add(
                    "original", "Video", words="original", interactive=False,
                    height=VIDEO_HEIGHT_PX,
                )  # fmt: skip
                self.add(
                    "result", "Video", words="result", interactive=False, height=VIDEO_HEIGHT_PX
                )
            self.html("result_player")
            self.html("report", visible=False)
            self.add(
                "download", "File", words="download", interactive=False, visible=False,
                file_count="multiple",
            )  # fmt: skip
        self.html("debug_sheets", visible=False)
        with self.add("render_advanced", "Accordion", words="advanced", open=False):
            self.add(
                "preview_seconds", "Slider", words="preview_seconds", minimum=1, maximum=15,
                step=0.5, value=3,
            )  # fmt: skip
            with self.add("render_settings", "Column"):
                self.page.output_widgets += self.widgets(
                    settings_widgets(
                        OutputSettings,
                        "output_",
                        self.language,
                        skip=(*SPEECH_OUTPUT, *SOUND_FILES),
                    )
                )
                self.page.encode_widgets = self.widgets(
                    settings_widgets(EncodeSettings, "encode_", self.language)
                )
            self.page.groups["output"] = self.page.output_widgets
            self.page.groups["encode"] = self.page.encode_widgets
        with self.add("earlier", "Accordion", words="jobs", open=False):
            self.html("jobs", views.jobs_table((), self.language))

    def _bridge(self) -> None:
        """Unseen widgets through which the page's own JavaScript reaches the handlers."""
        with self.add("bridge", "Column"):
            self.add("message", "Textbox", label="", value="")
            for name in ("hello", "act", "tick"):
                self.add(name, "Button", value=name)
            self.html("config", views.config(self.page.tick_ms, greeted=False), visible=True)


class _Wiring:
    """Connects widgets to handlers."""

    def __init__(self, page: Page, handlers: Handlers, state: Any, *, queue: bool) -> None:
        self.page = page
        self.handlers = handlers
        self.state = state
        self.queue = queue
        words = page.words(page.language)
        fixed = {"root", "bridge", "message", "hello", "act", "tick", "header_row"}
        settings = {
            w.name for w in page.widgets() if w.field.ui.only_when is None and not page.may_lack(w)
        }
        self.all = [c for name, c in page.components.items() if name not in fixed]
        marked = {w.name for w in page.widgets() if page.may_lack(w)}
        # A label changes only with the language: those widgets stay out of every other answer.
        self.live = [
            c
            for name, c in page.components.items()
            if name not in fixed | settings | {"language"}
            and (name not in words or name in _LIVE_LABELLED or name in marked)
        ]

    def connect(self) -> None:
        c, h, on = self.page.components, self.handlers, self.on
        greeting = "(s, m) => [s, window.facepickGreeting()]"
        action = "(s, m) => [s, window.facepickAction()]"
        on(c["hello"].click, self._hello, ["message"], js=greeting, outputs=self.all, raw=True)
        on(c["act"].click, h.act, ["message"], js=action, watch=True)
        self.plain(c["tick"].click, h.tick)
        if "language" in c:
            on(
                c["language"].change,
                h.choose_language,
                ["language", "flow", "style"],
                outputs=self.all,
            )
        on(c["get_models"].click, h.get_models, watch=True)
        on(c["models_later"].click, h.put_off_models)
        # Video: `upload` and `clear`, not `change`, which answers our own updates as well.
        on(c["video"].upload, h.upload, ["video"], watch=True)
        on(c["video"].clear, h.upload, ["video"])
        on(c["demo"].click, h.open_demo, watch=True)
        if "open" in c:
            on(c["open"].click, h.open_path, ["path"], watch=True)
            on(c["path"].submit, h.open_path, ["path"], watch=True)
        on(c["scan"].click, h.scan, [w.name for w in self.page.scan_widgets], watch=True)
        on(c["scan_stop"].click, h.stop_scan)
        self.select(c["people"].select, lambda key, i: h.pick_index(key, i, False))
        self.select(c["unsure_people"].select, lambda key, i: h.pick_index(key, i, True))
        self.select(c["bystanders"].select, h.pick_bystander)
        self.select(c["tracks"].select, h.mark_track)
        self.select(c["source_faces"].select, h.choose_face)
        on(c["source"].upload, h.add_photos, ["source"], watch=True)
        on(c["source_clear"].click, h.clear_source)
        on(c["source_save"].click, h.save_source, ["source_name"], watch=True)
        on(c["pick_all"].click, h.pick_everyone)
        on(c["pick_none"].click, h.pick_nobody)
        on(c["time"].release, h.look_at, ["time"])
        on(c["by_photo"].upload, h.pick_by_photo, ["by_photo"])
        for name in ("merge", "join_likely", "ignore", "unignore", "undo", "show_tracks", "split"):
            on(c[name].click, getattr(h, name))
        for name in ("rename", "remember"):
            on(c[name].click, getattr(h, name), ["name"])
        begun = on(c["explain_run"].click, h.begin_explain)
        on(begun.then, h.explain, ["explain_a", "explain_b"])
        on(c["flow"].change, h.choose_flow, ["flow"])
        on(c["style"].change, h.choose_style, ["flow", "style"])
        self._dependent_settings()
        for name in h.noted_names():
            if name not in ("flow", "style"):
                on(
                    c[name].change,
                    lambda key, value, name=name: h.note(key, name, value),
                    [name],
                    outputs=[c[x] for x in _NOTED_OUTPUTS],
                )
        plan = self.page.plan_names()
        # `change`: a recording, and a file taken away, have no event of their own in gradio 3.
        sound = [f"output_{name}" for name in (*SPEECH_OUTPUT, *SOUND_FILES)]
        for name in (*SPEECH_PARTS, "phones", "style", *sound):
            on(c[name].change, h.hear, plan, outputs=[c["speech_note"]])
        for name in {"speech_text", "lipsync_rewrite_language"} & set(c):
            on(c[name].blur, h.hear, plan, outputs=[c["speech_note"]])
        on(c["record"].click, h.record)
        on(c["keep"].click, h.keep, plan)
        on(c["render"].click, h.render, plan, watch=True)
        on(c["preview"].click, lambda key, *v: h.preview(key, False, *v), plan, watch=True)
        on(c["preview_hard"].click, lambda key, *v: h.preview(key, True, *v), plan, watch=True)
        on(c["stop"].click, h.stop)

    def _dependent_settings(self) -> None:
        for group, widgets in self.page.groups.items():
            leaders = {w.field.ui.only_when[0] for w in widgets if w.field.ui.only_when}
            targets = [w.component for w in widgets if w.field.ui.only_when]
            for widget in widgets:
                if widget.field.name in leaders:
                    self.on(
                        widget.component.change,
                        lambda key, *v, group=group: self.handlers.setting_changed(key, group, *v),
                        [w.name for w in widgets],
                        outputs=[*targets, self.page.components["what_problem"]],
                    )

    def _hello(self, _: str, greeting: Any) -> tuple[str, Changes]:
        return self.handlers.hello(greeting)

    def on(
        self,
        event: Any,
        handler: Callable[..., Any],
        inputs: Iterable[str] = (),
        *,
        outputs: Sequence[Any] | None = None,
        js: str | None = None,
        watch: bool = False,
        raw: bool = False,
    ) -> Any:
        """Call `handler` with the session's key and the inputs.

        Args:
            outputs: what it may change; everything that lives when None.
            watch: whether jobs are watched afterwards.
            raw: whether it gives a new key besides the changes.

        Returns:
            The listener, whose `then` comes after it.
        """
        targets = list(self.live if outputs is None else outputs)

        def call(key: Any, *values: Any) -> dict[Any, Any]:
            if raw:
                key, changes = handler(key, *values)
            else:
                key = self.handlers.session(key).key
                changes = handler(key, *values)
            return {self.state: key, **self.updates(changes)}

        done = compat.listen(
            event,
            call,
            inputs=[self.state, *(self.page.components[name] for name in inputs)],
            outputs=[self.state, *targets],
            js=js,
        )
        if (watch or raw) and self.queue:
            compat.listen(
                done.then, self._watch, inputs=[self.state], outputs=[self.state, *self.live]
            )
        return done

    def select(self, event: Any, handler: Callable[[Any, int], Changes]) -> None:
        """A click on a gallery: the handler gets the key and the index."""

        def call(key: Any, event_data: gr.SelectData) -> dict[Any, Any]:
            key = self.handlers.session(key).key
            changes = handler(key, compat.selected_index(event_data))
            return {self.state: key, **self.updates(changes)}

        # Gradio finds the event by its annotation, which must be the class and not its name.
        call.__annotations__ = {"event_data": gr.SelectData}
        compat.listen(event, call, inputs=[self.state], outputs=[self.state, *self.live])

    def plain(self, event: Any, handler: Callable[..., Changes]) -> None:
        """An event that must not wait in the queue behind a watcher."""

        def call(key: Any) -> dict[Any, Any]:
            key = self.handlers.session(key).key
            return {self.state: key, **self.updates(handler(key))}

        compat.listen(
            event, call, inputs=[self.state], outputs=[self.state, *self.live], queue=False
        )

    def _watch(self, key: Any) -> Iterator[dict[Any, Any]]:
        # A generator that ends without an answer would clear every output in gradio 5 and 6.
        yield {self.state: key}
        for changes in self.handlers.watch(key):
            yield {self.state: key, **self.updates(changes)}

    def updates(self, changes: Changes) -> dict[Any, Any]:
        components = self.page.components
        for name in ("original", *PLAYERS.values()):
            value = changes.get(name, {}).get("value")
            if value is not None and not self.page.app.proxies.holds(value):
                # gradio would re-encode it where it lies.
                raise ValueError(f"{name} may not be given {value}")
        return {
            components[name]: compat.as_update(components[name], what)
            for name, what in changes.items()
        }


_NOTED_OUTPUTS = (
    "what_problem", "consent_problem", "progress", "render_note", "render", "preview",
    "preview_hard", "stop",
)  # fmt: skip
"""What a change of a widget's value changes besides."""

_LIVE_LABELLED = {
    "video", "demo", "scan", "scan_stop", "people", "unsure_people", "crowd", "bystanders",
    "everyone_but", "tracks", "split", "edit",
    "unignore", "known",
    "time", "name", "flow", "style", "source", "source_faces", "source_save", "source_name",
    "speech", "record", "recording", "speech_text", "speech_start", "speech_offset",
    "speech_duration", "phones", "lines", "preview", "preview_hard", "render", "stop",
    "preview_video", "original", "result", "download", "get_models", "models_later",
}  # fmt: skip
"""Widgets with words of the catalogue that change otherwise, too."""
