"""Layout: the widgets of the tab, in the order in which they are used."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from facepick.media.writer import EncodeSettings
from facepick.people.finder import ScanSettings
from facepick.render.plan import OutputSettings
from facepick_ui import messages, views
from facepick_ui.compat import build
from facepick_ui.flow_panels import engine_panel, settings_widgets
from facepick_ui.messages import text
from facepick_ui.page import SOUND_FILES, SPEECH_OUTPUT, Page
from facepick_ui.settings_form import Widget

__all__ = ["Layout"]

VIDEO_HEIGHT_PX = 300

NO_BUTTONS: dict[str, Any] = {
    "buttons": [], "show_share_button": False, "show_download_button": False
}  # fmt: skip
"""In the words of all generations.  Gradio's button for sharing sends the file to a server."""


class Layout:
    """Builds the widgets in the order in which they are used."""

    def __init__(self, page: Page, *, standalone: bool) -> None:
        self.page = page
        self.language = page.language
        self.standalone = standalone

    def t(self, key: str, **values: Any) -> str:
        """Give the words called `key`."""
        return text(key, self.language, **values)

    def add(self, name: str, kind: str, **options: Any) -> Any:
        """Build a widget.

        Args:
            name: its element id is ``facepick_`` + name.
            kind: gradio's class.
            options: of that class; ``words`` and ``help_words`` are keys of the catalogue that give
                it its label and help in every language.
        """
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
        """Build a place for HTML; it is there only while it holds something."""
        return self.add(
            name,
            "HTML",
            value=value,
            visible=bool(value) if visible is None else visible,
            label="",
            padding=False,
        )

    def output_widgets(self, *, only: Sequence[str] = (), skip: Sequence[str] = ()) -> list[Widget]:
        """Build widgets of the output's settings."""
        return settings_widgets(
            OutputSettings, "output_", self.language, self.page.components, only=only, skip=skip
        )

    def build(self) -> None:
        """Build all cards."""
        with self.add("root", "Column"):
            self._header()
            self._models()
            cards = {
                "video": self._video,
                "people": self._people,
                "what": self._what,
                "render": self._render,
            }
            for number, (key, content) in enumerate(cards.items(), 1):
                if key == "render":
                    self._render_bar()
                with self.add(f"{key}_card", "Column", variant="panel"):
                    title = views.card_title(number, f"step_{key}", self.language)
                    self.html(f"{key}_title", title)
                    content()
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
        with self.add("path_row", "Row"):
            self.add(
                "path",
                "Textbox",
                words="path",
                info=self.page.path_help(self.language),
                interactive=bool(self.page.app.host.input_roots()),
                scale=5,
            )
            self.add("open", "Button", words="open", scale=1, min_width=90)
        with self.add("video_folds", "Row"):
            self._scan_settings()
            self._project()

    def _scan_settings(self) -> None:
        with (
            self.add("video_advanced", "Accordion", words="fold_scan", open=False),
            self.add("scan_settings", "Column"),
        ):
            self.page.scan_widgets = settings_widgets(
                ScanSettings, "scan_", self.language, self.page.components
            )
            self.page.groups["scan"] = self.page.scan_widgets

    def _project(self) -> None:
        with self.add("project", "Accordion", words="project", open=False):
            self.hint("project_hint", "project_hint")
            with self.add("project_row", "Row"):
                self.add("project_save", "Button", words="project_save", min_width=140)
                self.add("project_video", "Checkbox", words="project_video", value=False)
                self.add("project_open", "UploadButton", words="project_open", min_width=140)
            self.html("project_note", visible=False)
            self.add(
                "project_file", "File", words="project_file", interactive=False, visible=False,
                file_count="single",
            )  # fmt: skip

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
                self.html("timeline")
                self.hint("unsure_hint", "unsure_people", visible=False)
                self.gallery("unsure_people", "unsure_people", columns=6)
                with self.add("crowd", "Accordion", words="crowd", open=False, visible=False):
                    self.gallery("bystanders", "crowd", columns=6)
            with self.add("looking", "Column", scale=3, min_width=300, visible=False):
                self.html("frame")
                self.add("time", "Slider", words="time", minimum=0, maximum=1, step=0.04, value=0)
        with self.add("people_folds", "Row"):
            self._corrections()
            with self.add("known", "Accordion", words="known", open=False, visible=False):
                self.hint("known_hint", "known_hint")
                self.html("known_note")
                self.html("known_list")
            self._explain()

    def _corrections(self) -> None:
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
        """Build a quiet line."""
        self.html(name, views.hint(key, self.language), visible=visible)
        self.page.hints[name] = key

    def gallery(self, name: str, words: str, *, columns: int) -> None:
        """Build a gallery of faces."""
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
            specs = self.page.app.registry.of_flow(first) if first else ()  # type: ignore[arg-type]
            with self.add("way_row", "Row"):
                self.add(
                    "flow",
                    "Radio",
                    choices=self.page.flow_choices(self.language),
                    value=first,
                    label=self.t("flow"),
                    scale=2,
                    min_width=280,
                )
                self.add(
                    "style",
                    "Radio",
                    choices=[(messages.engine_label(e.spec.label, self.language), e.spec.id)
                             for e in specs],
                    value=specs[0].spec.id if specs else None,
                    words="style",
                    visible=bool(specs),
                    scale=3,
                    min_width=280,
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
            self.html("style_help", views.paragraph(hint))
            self._speech_inputs()
            self._swap_inputs()
            for engine in self.page.app.registry.all():
                spec = engine.spec
                visible = spec.flow == first and spec.id == (specs[0].spec.id if specs else "")
                panel = engine_panel(
                    spec,
                    self.language,
                    self.page.components,
                    visible=visible,
                    lacks=self.page.lacks,
                )
                self.page.panels.append(panel)
                self.page.groups[panel.name] = list(panel.widgets)
                for fold in ("settings", "advanced"):
                    if f"{panel.name}_{fold}" in self.page.components:
                        self.page.labelled.append((f"{panel.name}_{fold}", "label", fold))
            with self.add("try_row", "Row"):
                self.add("preview_frame", "Button", words="preview_frame", min_width=140)
                self.add("live_frame", "Checkbox", words="live_frame", value=False, min_width=160)
                self.add("keep", "Button", words="keep", min_width=140)
            self.html("frame_sheet", visible=False)
        self.html("what_problem")
        self.html("assignments")

    def _speech_inputs(self) -> None:
        with self.add("speech_inputs", "Column", visible=False):
            with self.add("speech_row", "Row", equal_height=False):
                with build("Column", scale=3, min_width=300):
                    self.add(
                        "speech", "Audio", words="speech", sources=["upload"],
                        type="filepath", interactive=True, **NO_BUTTONS,
                    )  # fmt: skip
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
                        help_words="speech_text_help", lines=2, max_lines=8,
                    )  # fmt: skip
                    self.add("record", "Button", words="record", size="sm")
            with self.add("speech_folds", "Row"):
                self._line_inputs()
                self._timing_inputs()
                self._sound_inputs()
            self.html("speech_note", visible=False)
            self.html("line_player", visible=False)

    def _line_inputs(self) -> None:
        with self.add("lines_fold", "Accordion", words="lines_fold", open=False):
            self.hint("speech_hint", "speech_hint")
            self.hint("lines_hint", "lines_hint")
            self.add(
                "lines", "File", words="lines", file_count="multiple", height=130,
                interactive=True,
            )  # fmt: skip

    def _timing_inputs(self) -> None:
        with self.add("timing", "Accordion", words="timing", open=False):
            with self.add("timing_row", "Row"):
                for name in ("speech_start", "speech_offset", "speech_duration"):
                    self.add(
                        name, "Number", words=name, help_words=f"{name}_help", value=0,
                        minimum=0, min_width=170,
                    )  # fmt: skip
            self.hint("phones_help", "phones_help")
            self.add(
                "phones", "File", words="phones", file_count="single", height=130,
                interactive=True,
            )  # fmt: skip

    def _sound_inputs(self) -> None:
        with self.add("sound_files", "Accordion", words="sound_files", open=False):
            with self.add("sound_row", "Row"):
                self.page.output_widgets += self.output_widgets(only=SPEECH_OUTPUT)
            self.hint("sound_files_hint", "sound_files_hint")
            with self.add("sound_files_row", "Row"):
                self.page.output_widgets += self.output_widgets(only=SOUND_FILES)

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
            with self.add("consent_row", "Row"):
                self.add(
                    "consent", "Checkbox", words="consent", help_words="consent_help", value=False,
                    scale=1, min_width=260,
                )  # fmt: skip
                self.add(
                    "consent_note", "Textbox", words="consent_note", help_words="consent_note_help",
                    max_lines=2, scale=1, min_width=260,
                )  # fmt: skip

    def _render_bar(self) -> None:
        """Build what is missing, the buttons and the running job: at the window's lower edge until
        their place is reached, so that they are in sight however long the cards above are."""
        with self.add("render_bar", "Column"):
            # Of one height whatever it holds, so that the buttons stay where they are.
            with self.add("render_status", "Column"):
                self.html("render_note", visible=False)
                self.html("estimate", visible=False)
                self.html("card_note", visible=False)
                self.html("scan_running", visible=False)
                self.html("progress", visible=False)
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
                self.add("enqueue", "Button", words="enqueue", visible=False, min_width=130)

    def _render(self) -> None:
        self.html("queue", visible=False)
        self.html("queue_note", visible=False)
        self.html("told", visible=False)
        self.add(
            "preview_video", "Video", words="preview_video", interactive=False, visible=False,
            height=360,
        )  # fmt: skip
        self.html("preview_player")
        with self.add("result_row", "Column", visible=False):
            self.html("result_note", visible=False)
            with self.add("result_videos", "Row"):
                self.add(
                    "original", "Video", words="original", interactive=False,
                    height=VIDEO_HEIGHT_PX,
                )  # fmt: skip
                self.add(
                    "result", "Video", words="result", interactive=False, height=VIDEO_HEIGHT_PX
                )
            self.html("result_player")
            self.html("compare", visible=False)
            self.html("saved", visible=False)
            self.html("report", visible=False)
            self.add(
                "download", "File", words="download", interactive=False, visible=False,
                file_count="multiple",
            )  # fmt: skip
        self.html("review", visible=False)
        self.html("debug_sheets", visible=False)
        with self.add("render_folds", "Row"):
            self._render_folds()

    def _render_folds(self) -> None:
        with self.add("fold_preview", "Accordion", words="fold_preview", open=False):
            self.add(
                "preview_seconds", "Slider", words="preview_seconds", minimum=1, maximum=15,
                step=0.5, value=3,
            )  # fmt: skip
        with (
            self.add("render_advanced", "Accordion", words="fold_file", open=False),
            self.add("render_settings", "Column"),
        ):
            self.page.encode_widgets = settings_widgets(
                EncodeSettings, "encode_", self.language, self.page.components
            )
        with (
            self.add("fold_labels", "Accordion", words="fold_labels", open=False),
            self.add("label_settings", "Column"),
        ):
            self.page.output_widgets += self.output_widgets(skip=(*SPEECH_OUTPUT, *SOUND_FILES))
        self.page.groups["output"] = self.page.output_widgets
        self.page.groups["encode"] = self.page.encode_widgets
        with self.add(
            "season", "Accordion", words="season", open=False, visible=self.page.at_machine
        ):
            self.hint("season_hint", "season_hint")
            with self.add("season_row", "Row"):
                self.add(
                    "season_path", "Textbox", words="season_path",
                    info=self.page.path_help(self.language), scale=5, max_lines=1,
                )  # fmt: skip
                self.add("season_run", "Button", words="season_run", scale=1, min_width=160)
            self.html("season_note", visible=False)
        with self.add("earlier", "Accordion", words="jobs", open=False):
            self.html("jobs_note", visible=False)
            self.html("jobs", views.jobs_table((), self.language))

    def _bridge(self) -> None:
        """Unseen widgets through which the page's own JavaScript reaches the handlers."""
        with self.add("bridge", "Column"):
            self.add("message", "Textbox", label="", value="")
            for name in ("hello", "act", "tick"):
                self.add(name, "Button", value=name)
            self.html(
                "config",
                views.config(
                    self.page.tick_ms,
                    self.language,
                    standing="built",
                    known=self.page.app.host.language(),
                ),
                visible=True,
            )
