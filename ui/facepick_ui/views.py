"""Views: the parts of the page that are drawn as HTML, from the templates; no gradio in here.

Clickable places carry ``data-facepick-act``, which ``javascript/facepick.js`` hands to the tab's
action handler.
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Literal

from facepick.media.video import VideoInfo
from facepick.models.spec import ModelSpec
from facepick.notices import Notice
from facepick.people.person import Person, Scan
from facepick.progress import Progress
from facepick_ui import messages
from facepick_ui.messages import has, model_purpose, text
from facepick_ui.templating import render

__all__ = [
    "PALETTE",
    "Row",
    "Standing",
    "assignments_table",
    "card_room",
    "card_title",
    "clock",
    "clock_exact",
    "color_of",
    "compare_view",
    "config",
    "debug_view",
    "empty",
    "ended_view",
    "error_box",
    "facts",
    "failure_box",
    "for_people",
    "frame_sheet",
    "frame_view",
    "header",
    "hint",
    "jobs_table",
    "known_list",
    "models_list",
    "models_note",
    "notice",
    "notice_list",
    "notices_view",
    "opening_words",
    "paragraph",
    "people_chips",
    "progress_view",
    "proxy_note",
    "report_view",
    "review_frame",
    "review_offer",
    "saved_view",
    "seconds_of",
    "sheet_view",
    "small_copy",
    "source_list",
    "speakers_offer",
    "stopped_view",
    "timeline",
    "unusable",
    "video_title",
]

PALETTE = (
    "#e4572e", "#2e86de", "#17a673", "#b552d6", "#d99a00",
    "#00a3a3", "#d6336c", "#7a8694", "#8f6b4a", "#5b5bd6",
)  # fmt: skip
"""One colour a person, told apart on dark and on light ground."""

Row = dict[str, Any]


def color_of(person_id: str) -> str:
    """Choose a person's colour: the same on thumbnails, timeline and picture, after edits too."""
    digits = person_id[1:]
    return PALETTE[(int(digits) - 1) % len(PALETTE)] if digits.isdigit() else "#7a8694"


def clock(seconds: float) -> str:
    """Write ``1:02`` or ``1:02:03``."""
    whole = max(0, round(seconds))
    hours, rest = divmod(whole, 3600)
    minutes, left = divmod(rest, 60)
    return f"{hours}:{minutes:02}:{left:02}" if hours else f"{minutes}:{left:02}"


def clock_exact(seconds: float) -> str:
    """Write ``1:02.25``."""
    minutes, rest = divmod(max(0.0, seconds), 60)
    return f"{int(minutes)}:{rest:05.2f}"


# --- boxes and lines -----------------------------------------------------------------------


def header(language: str) -> str:
    """Draw mark, name and one sentence."""
    return render("header", language)


def card_title(number: int, key: str, language: str) -> str:
    """Draw number and name of a step."""
    return render("title", language, number=number, key=key)


def video_title(summary: str, language: str) -> str:
    """Draw number and name of the first step; once its people are found, its card folds into it.

    Args:
        summary: which video it is, or "" while the card stays open.
    """
    return render("video_title", language, summary=summary)


Standing = Literal["built", "heard", "greeted"]
"""Of a page: just built, its greeting was heard, it shows its session."""


def config(tick_ms: int, language: str, *, standing: Standing, known: str | None = None) -> str:
    """Tell the page's JavaScript what it needs to know, unseen.

    Args:
        language: of the session; of the page before that is known.
        known: the language that the host wants for everybody, or None.
    """
    words = json.dumps(messages.gradio_words(language), ensure_ascii=False)
    return render(
        "config",
        language,
        tick_ms=tick_ms,
        standing=standing,
        spoken=language,
        words=words,
        opening=opening_words(known),
    )


def opening_words(language: str | None) -> str:
    """Give as JSON what a page says while it opens, for the first and for a further time.

    Args:
        language: the one for everybody; None for all, by code.
    """
    codes = [code for code in messages.LANGUAGES if language in (None, code)]
    found = {code: [text("opening", code), text("restoring", code)] for code in codes}
    return json.dumps(found)


def empty(key: str, language: str) -> str:
    """Say what to do while a place is still empty."""
    return render("empty", language, key=key)


def hint(key: str, language: str) -> str:
    """Draw a quiet line above a widget."""
    return paragraph(text(key, language))


def paragraph(words: str) -> str:
    """Draw a quiet line whose words are not in the catalogue as they stand."""
    return render("hint", "en", words=words)


def notice(headline: str, sentence: str = "", *, kind: str = "good") -> str:
    """Draw a box with good (``good``) or neutral (``calm``) news.

    Args:
        kind: ``missing`` is what a render lacks: style.css greys the buttons beside it, which can
            still be pressed, since that leads to where it is given.
    """
    return render("notice", "en", headline=headline, sentence=sentence, kind=kind)


def notice_list(headline: str, sentences: Sequence[str]) -> str:
    """Draw a box with several neutral sentences."""
    return render("notices", "en", headline=headline, sentences=sentences)


NOTICES_SHOWN = 12
"""In a box of the page; the report holds them all."""


def notices_view(
    notices: Sequence[Notice], language: str, *, names: Mapping[str, str] | None = None
) -> str:
    """Say what people should know of a plan or a result; empty when there is nothing.

    What is said of several moments or people is said once, with all of them: a click on a moment
    looks at it.

    Args:
        names: how people are called, by id.
    """
    rows: dict[str, Row] = {}
    for item in notices:
        sentence = item.plain(language)
        row = rows.setdefault(sentence, {"sentence": sentence, "who": [], "moments": []})
        people = [(names or {}).get(key, key) for key in item.person.split(", ") if key]
        row["who"] += [w for w in people if w not in sentence and w not in row["who"]]
        if item.start is not None:
            moment = f"{item.start:.3f}", clock_exact(item.start)
            if moment not in row["moments"]:
                row["moments"].append(moment)
    if not rows:
        return ""
    drawn = [{**row, "who": messages.listed(row["who"], language)} for row in rows.values()]
    more = len(drawn) - NOTICES_SHOWN
    return render(
        "noted",
        language,
        rows=drawn[:NOTICES_SHOWN],
        more=text("notices_more", language, n=more) if more > 0 else "",
    )


def error_box(error: BaseException, language: str) -> str:
    """Draw what went wrong and what to do next."""
    return _problem(*messages.error_words(error, language))


def failure_box(error: str, exit_code: int | None, language: str, *, fetch: bool = False) -> str:
    """Draw why a job failed; see `facepick_ui.messages.failure_words`."""
    return _problem(*messages.failure_words(error, exit_code, language, fetch=fetch))


def unreadable_sound(file: str, language: str) -> str:
    """Say that the sound of new speech cannot be read."""
    help_words = text("sound_unreadable_help", language, file=file)
    return _problem(text("sound_unreadable", language), (help_words,), ())


def _problem(headline: str, sentences: Iterable[str], detail: Iterable[str]) -> str:
    return render(
        "problem",
        "en",
        headline=headline,
        sentences=" ".join(filter(None, sentences)),
        detail=" ".join(filter(None, detail)),
    )


def small_copy(words: str) -> str:
    """Say below a player that it plays a copy.

    style.css takes gradio's scissors away: they would cut the copy, not the file.
    """
    return _with_buttons("facepick-small-copy", paragraph(words), ())


def proxy_note(body: str, act: str, label: str) -> str:
    """Draw how a proxy stands, with a button.

    Args:
        body: HTML.
    """
    return _with_buttons("facepick-proxy", body, [(act, label)])


def card_room(body: str, buttons: Sequence[tuple[str, str]]) -> str:
    """Draw what is said of the graphics card, with the ways to go on (act and label).

    Args:
        body: HTML.
    """
    return _with_buttons("facepick-card-room", body, buttons)


def _with_buttons(kind: str, body: str, buttons: Sequence[tuple[str, str]]) -> str:
    return render("with_buttons", "en", kind=kind, body=body, buttons=buttons)


# --- the video and its people --------------------------------------------------------------


def facts(info: VideoInfo, language: str) -> str:
    """Say what the file is."""
    unknown = text("fact_unknown", language)
    rate = unknown
    if info.average_rate:
        rate = text("fact_rate_about", language, rate=f"{float(info.average_rate):.4g}")
    if info.declared_frames:
        rate = f"{info.declared_frames} · {rate}"
    sound = " · ".join(
        f"{a.codec} {a.sample_rate / 1000:g} kHz {_language(a.language)}".strip()
        for a in info.audio
    )
    picture = f"{info.width} x {info.height} · {info.codec}"
    if info.color.is_hdr:
        picture += f" · {text('fact_hdr', language)}"
    rows = {
        "fact_file": f"{info.path.name} · {_bytes(info.size_bytes)}",
        "fact_size": picture,
        "fact_length": clock(float(info.duration_seconds)) if info.duration_seconds else unknown,
        "fact_rate": rate,
        "fact_sound": sound or text("fact_no_sound", language),
    }
    return render(
        "facts",
        language,
        rows=[(text(key, language), value) for key, value in rows.items()],
        tall=info.height > info.width,
    )


def _language(code: str | None) -> str:
    """ISO 639-2 has a code for 'undetermined', which tells nobody anything."""
    return "" if code in (None, "und") else str(code)


def _bytes(size: int) -> str:
    value = float(size)
    for unit in ("B", "kB", "MB", "GB"):
        if value < 1000 or unit == "GB":
            return f"{value:.3g} {unit}"
        value /= 1000
    raise AssertionError("unreachable")


def people_chips(scan: Scan, picked: Sequence[str], language: str) -> str:
    """Draw the picked people with colour, screen time and how sure the scan is."""
    if not picked:
        return hint("pick_hint", language)
    chips = [_chip(scan.person(key), language) for key in picked]
    count = text("picked_count", language, n=len(picked))
    return render("chips", language, count=count, chips=chips)


def _chip(person: Person, language: str) -> Row:
    sure = (
        text("unsure", language)
        if person.unsure
        else text("sure", language, p=round(person.confidence * 100))
    )
    seconds = text("seconds", language, s=f"{float(person.screen_time):.1f}")
    return {
        "color": color_of(person.id), "label": person.label, "details": f"{seconds} · {sure}"
    }  # fmt: skip


def for_people(faces: Sequence[str], words: str) -> str:
    """Say for whom the choice is.

    Args:
        faces: data URIs.
    """
    return render("for_people", "en", faces=faces, words=words)


ROW_HEIGHT, TIMELINE_WIDTH = 26, 1000


def timeline(
    scan: Scan, shown: Sequence[str], picked: Sequence[str], at_seconds: float, language: str
) -> str:
    """Draw who is on screen when: a row each, cuts as ticks, the place looked at as a line."""
    times = seconds_of(scan)
    length = max(times[-1], 1e-6) if len(times) else 1.0
    people = [scan.person(key) for key in shown]
    bars = []
    for number, person in enumerate(people):
        for start, stop in _spans(scan, person):
            left = TIMELINE_WIDTH * times[start] / length
            right = TIMELINE_WIDTH * times[min(stop, len(times) - 1)] / length
            bars.append(
                {
                    "x": left,
                    "y": number * ROW_HEIGHT + 5,
                    "width": max(1.5, right - left),
                    "height": ROW_HEIGHT - 10,
                    "color": color_of(person.id),
                    "faded": bool(picked) and person.id not in picked,
                }
            )
    return render(
        "timeline",
        language,
        people=[{"color": color_of(p.id), "label": p.label} for p in people],
        length=length,
        width=TIMELINE_WIDTH,
        height=ROW_HEIGHT * max(1, len(people)),
        cuts=[TIMELINE_WIDTH * times[s.start] / length for s in scan.shots if s.start > 0],
        bars=bars,
        cursor=100 * min(1.0, max(0.0, at_seconds / length)),
        ticks=[{"at": 100 * t / length, "clock": clock(t)} for t in _ticks(length)],
    )


def seconds_of(scan: Scan) -> list[float]:
    """Say when each frame is shown, in seconds since the first one; for drawing, not for timing."""
    base = scan.video.time_base
    scale = base.numerator / base.denominator
    return [float(v) for v in (scan.pts - scan.pts[0]) * scale] if len(scan.pts) else []


def _spans(scan: Scan, person: Person) -> list[tuple[int, int]]:
    """List the stretches of frames, half-open, in which the person is on screen."""
    spans: list[tuple[int, int]] = []
    for track in scan.tracks_of(person.id):
        start = previous = int(track.frames[0])
        for frame in map(int, track.frames[1:]):
            if frame != previous + 1:
                spans.append((start, previous + 1))
                start = frame
            previous = frame
        spans.append((start, previous + 1))
    return spans


def _ticks(length: float) -> list[float]:
    """List round moments, at most eight, that divide the length."""
    for step in (1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 900, 1800, 3600, 7200):
        if length / step <= 8:
            break
    return [i * float(step) for i in range(int(length // step) + 1)]


def frame_view(
    picture: str,
    size: tuple[int, int],
    scan: Scan,
    frame: int,
    picked: Sequence[str],
    at_seconds: float,
    language: str,
) -> str:
    """Draw the video's picture at one moment with everyone marked; click a face to pick it.

    Args:
        picture: the JPEG as a data URI.
        size: width and height of the video in display pixels.
    """
    width, height = size
    font = max(14.0, width / 40)
    marks = []
    for person in scan.people:
        if person.ignored:
            continue
        for track in scan.tracks_of(person.id):
            box = track.box_at(frame)
            if box is not None:
                marks.append(
                    {
                        "id": person.id,
                        "label": person.label,
                        "color": color_of(person.id),
                        "chosen": person.id in picked,
                        "x": box.x0,
                        "y": box.y0,
                        "width": box.x1 - box.x0,
                        "height": box.y1 - box.y0,
                        # 0.62 em is a letter of the page's fonts on average.
                        "tag_width": font * (0.62 * len(person.label) + 0.9),
                        "tag_y": box.y0 - font * 1.35 if box.y0 > font * 1.5 else box.y1,
                    }
                )
    shot = next((s.index + 1 for s in scan.shots if s.start <= frame < s.stop), 0)
    place = text("frame_place", language, frame=frame, shot=shot)
    if picked and not any(mark["chosen"] for mark in marks):
        place += " · " + text("frame_nobody", language)
    return render(
        "frame",
        language,
        picture=picture,
        width=width,
        height=height,
        stroke=max(2.0, width / 320),
        font=font,
        marks=marks,
        caption=f"{clock_exact(at_seconds)} · {place}",
    )


def known_list(rows: Sequence[Row], more: int, language: str) -> str:
    """Draw the people known by name.

    Args:
        rows: with ``name``, ``faces`` (how many) and ``face`` (a data URI or None).
        more: how many are not shown.
    """
    return render("known", language, rows=rows, more=more) if rows else ""


def sheet_view(picture: str, language: str) -> str:
    """Draw the picture of a comparison.

    Args:
        picture: a data URI.
    """
    return render("sheet", language, picture=picture)


# --- what to do ----------------------------------------------------------------------------


def assignments_table(rows: Sequence[Row], language: str) -> str:
    """Draw what will happen to whom.

    Args:
        rows: with ``faces`` (data URIs), ``who``, ``what``, ``into`` (data URIs of new faces),
            ``how`` and the acts ``edit`` (or "") and ``drop``.
    """
    return render("assignments", language, rows=rows) if rows else ""


def review_offer(job_id: str, language: str) -> str:
    """Draw the button that shows a result's review."""
    words = text("review_help", language)
    return _with_buttons(
        "facepick-review-offer",
        paragraph(words),
        [(f"review:{job_id}", text("review_show", language))],
    )


def review_frame(page: str) -> str:
    """Show a review in a frame of its own, whose links lead nowhere: the video lies elsewhere.

    Args:
        page: the whole file.
    """
    quiet = "<style>a{pointer-events:none}a.open{display:none}</style></head>"
    return render("review", "en", page=page.replace("</head>", quiet, 1))


def speakers_offer(language: str) -> str:
    """Draw the button that finds out who speaks."""
    button = ("speakers:", text("lines_look", language))
    return _with_buttons(
        "facepick-speakers", paragraph(text("lines_look_help", language)), [button]
    )


def voices_offer(model: ModelSpec, language: str) -> str:
    """Draw the button that fetches the network for voices."""
    label = text("voices_get", language, size=f"{(model.size or 0) / 1e6:.1f}")
    return _with_buttons("facepick-speakers", "", [(f"get:{model.id}", label)])


def source_list(groups: Iterable[tuple[str, Sequence[Row]]], language: str) -> str:
    """Draw whose face may be put in, as buttons.

    Args:
        groups: word key of the group, and rows with ``label``, ``face`` (a data URI or None),
            ``act`` and perhaps ``remove``.
    """
    drawn = [
        {"key": key, "rows": [{"remove": "", **row} for row in rows]}
        for key, rows in groups
        if rows
    ]
    return render("sources", language, groups=drawn)


def models_note(models: Sequence[ModelSpec], folder: str, goes_on: bool, language: str) -> str:
    """Say which model files are missing, what they are for, and where they go.

    Args:
        folder: the one to put files into by hand.
        goes_on: whether the work goes on by itself when they have come.
    """
    if not models:
        return ""
    drawn = [_model(model, language) for model in models]
    return render("models_note", language, models=drawn, folder=folder, goes_on=goes_on)


def models_list(models: Sequence[ModelSpec], folder: str, language: str) -> str:
    """Draw model files with size and licence; what cannot be fetched with a link and the folder.

    Args:
        folder: the one to put files into by hand.
    """
    drawn = [_model(model, language) for model in models]
    return render("models_list", language, models=drawn, folder=folder)


def unusable(engines: Sequence[tuple[str, Sequence[ModelSpec]]], folder: str, language: str) -> str:
    """Draw engines that lack a model file, and how to get it, folded.

    Args:
        engines: label, and the files that are not there.
        folder: the one to put files into by hand.
    """
    if not engines:
        return ""
    drawn = [
        {"label": label, "models": [_model(model, language) for model in models]}
        for label, models in engines
    ]
    return render("unusable", language, engines=drawn, folder=folder)


def _model(model: ModelSpec, language: str) -> Row:
    known = [f"{model.size / 1e6:.1f} MB"] if model.size else []
    known.append(text("models_licence", language, licence=model.licence))
    if not model.commercial_use:
        known.append(text("models_no_commerce", language))
    return {
        "id": model.id,
        "file": model.file,
        "purpose": model_purpose(model, language),
        "facts": " · ".join(known),
        "can_fetch": model.can_fetch,
        "link": "" if model.can_fetch else model.homepage,
    }


# --- jobs and results ----------------------------------------------------------------------

_NOT_FRAMES = ("fetch", "read", "proxy", "open", "load")
"""Stages whose units are bytes, milliseconds or steps."""


def progress_view(
    progress: Progress | None,
    language: str,
    *,
    thumbnail: str | None = None,
    stage: str = "queued",
) -> str:
    """Draw a moving bar with stage, frames, time left and the newest picture.

    While the total is unknown, and at 0 %, the bar moves without end.

    Args:
        stage: what is shown before the first report.
    """
    if progress is not None and progress.stage == "wait" and not progress.done:
        progress = None  # its turn has come
    stage = progress.stage if progress else stage
    help_key = f"stage_{stage}_help"
    begins = text(help_key, language) if has(help_key) else ""
    return render(
        "progress",
        language,
        name=text(f"stage_{stage}", language) if has(f"stage_{stage}") else stage,
        fraction=progress.share if progress else None,
        starting=stage in ("queued", "open"),
        details=" · ".join(_details(progress, language)) if progress else begins,
        thumbnail=thumbnail,
    )


def _details(progress: Progress, language: str) -> list[str]:
    details = []
    if progress.stage == "wait":
        if progress.done:
            details.append(text("jobs_before", language, n=progress.done))
    elif progress.stage not in _NOT_FRAMES and (progress.done or progress.total):
        details.append(
            text("frames_of", language, done=progress.done, total=progress.total)
            if progress.total
            else text("frames_done", language, done=progress.done)
        )
    if progress.phase and progress.phases and progress.phases > 1:
        details.append(text("phase_of", language, n=progress.phase, m=progress.phases))
    left = progress.eta_seconds if progress.left_seconds is None else progress.left_seconds
    if left is not None:
        details.append(text("eta", language, time=clock(math.ceil(left))))
    if progress.message:
        step = f"step_in_{progress.stage}"
        what = progress.message
        details.insert(0, text(step, language, what=what) if has(step) else what)
    return details


def jobs_table(rows: Sequence[Row], language: str) -> str:
    """Draw earlier jobs, newest first.

    Args:
        rows: with ``state``, ``kind``, ``name``, ``what``, ``when``, ``note``, ``percent`` and
            ``acts`` (pairs of action and word key).
    """
    if not rows:
        return hint("jobs_empty", language)
    drawn = [
        {**row, "details": " · ".join(filter(None, (row["what"], row["when"], row["note"])))}
        for row in rows
    ]
    return render("jobs", language, rows=drawn)


def queue_view(rows: Sequence[Row], language: str) -> str:
    """Draw what works and what waits, in its order; "" when nothing does.

    Args:
        rows: with ``state``, ``kind``, ``name``, ``what``, ``note``, ``percent``, ``left`` (a
            clock) and ``acts`` (pairs of action and word key).
    """
    if not rows:
        return ""
    drawn = []
    for row in rows:
        left = text("queue_left", language, time=row["left"]) if row["left"] else ""
        details = " · ".join(filter(None, (row["what"], row["note"], left)))
        drawn.append({**row, "details": details})
    return render("queue", language, rows=drawn)


def report_view(people: Iterable[Mapping[str, Any]], marked: bool, language: str) -> str:
    """Say what was changed and what was left alone, and why.

    Args:
        people: with ``label``, ``what``, ``color``, ``changed`` (frames), ``left`` (reason ->
            frames) and perhaps ``closed`` (frames in which a mouth was only shut).
    """
    rows = []
    for person in people:
        changed, left = int(person["changed"]), person["left"]
        reasons = sorted(left.items(), key=lambda item: -item[1])
        rows.append(
            {
                **person,
                "closed": person.get("closed", 0),
                "share": 100 * changed / max(1, changed + sum(left.values())),
                "left": " · ".join(
                    f"{_reason(reason, language)}: {text('report_frames', language, n=count)}"
                    for reason, count in reasons
                    if count
                ),
            }
        )
    return render("report", language, people=rows, marked=marked) if rows else ""


def _reason(reason: str, language: str) -> str:
    key = f"reason_{reason}"
    return text(key, language) if has(key) else reason.replace("_", " ")


def compare_view(job_id: str, size: tuple[int, int], rate: float, language: str) -> str:
    """Draw the place in which original and result lie on each other; the page's script plays it.

    Args:
        job_id: whose result it is: with another one the page draws it anew, and folded.
        size: width and height in display pixels.
        rate: frames per second.
    """
    return render("compare", language, job=job_id, width=size[0], height=size[1], rate=rate)


def saved_view(path: str, act: str, language: str) -> str:
    """Say where a result lies; a click copies it.

    Args:
        act: of the button that opens its folder, or "" where the user sits at another machine.
    """
    return render("saved", language, path=path, act=act)


def stopped_view(words: str, help_words: str, act: str, language: str) -> str:
    """Say that a job was stopped, with the button that goes on."""
    said = notice(words, help_words, kind="calm")
    return card_room(said, [(act, text("job_resume", language))])


def ended_view(words: str, name: str, place: str, language: str) -> str:
    """Say that a job is done, with the button that leads to what it made.

    Args:
        name: of its file.
        place: id of the widget that shows it.
    """
    return render("ended", language, words=words, name=name, place=place)


def frame_sheet(picture: str, language: str) -> str:
    """Draw one frame before, after, and what was changed.

    Args:
        picture: a data URI.
    """
    return render("frame_sheet", language, picture=picture)


def debug_view(sheets: Sequence[str], language: str) -> str:
    """Draw contact sheets of an engine's steps, folded.

    Args:
        sheets: data URIs.
    """
    return render("debug", language, sheets=sheets) if sheets else ""
