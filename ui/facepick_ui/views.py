"""The parts of the page that are drawn as HTML: no gradio in here.

Everything that comes from outside (names, file names, messages) is escaped.  Clickable places
carry ``data-facepick-act``, which ``javascript/facepick.js`` hands to the tab's action handler.
"""

from __future__ import annotations

import html
import math
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from facepick.media.video import VideoInfo
from facepick.models.spec import ModelSpec
from facepick.notices import Notice
from facepick.people.person import Person, Scan
from facepick.progress import Progress
from facepick_ui.messages import has, model_purpose, notice_text, text

__all__ = [
    "PALETTE",
    "Row",
    "assignments_table",
    "card_title",
    "clock",
    "color_of",
    "copyable",
    "debug_view",
    "empty",
    "escape",
    "facts",
    "frame_view",
    "header",
    "jobs_table",
    "known_list",
    "models_list",
    "models_note",
    "notice",
    "notice_list",
    "notices_view",
    "paragraph",
    "people_chips",
    "progress_view",
    "report_view",
    "sheet_view",
    "source_list",
    "speech_view",
    "timeline",
    "unusable",
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
    """``1:02`` or ``1:02:03``."""
    whole = max(0, round(seconds))
    hours, rest = divmod(whole, 3600)
    minutes, left = divmod(rest, 60)
    return f"{hours}:{minutes:02}:{left:02}" if hours else f"{minutes}:{left:02}"


def header(language: str) -> str:
    """Mark, name and one sentence."""
    return (
        f'<div class="facepick-head">{MARK}<div><b>{text("title", language)}</b>'
        f"<span>{text('tagline', language)}</span></div></div>"
    )


MARK = (
    '<svg class="facepick-mark" viewBox="0 0 32 32" aria-hidden="true">'
    '<rect x="1" y="1" width="30" height="30" rx="8" fill="currentColor" opacity=".12"/>'
    '<path d="M6 12V9a3 3 0 0 1 3-3h3M20 6h3a3 3 0 0 1 3 3v3M26 20v3a3 3 0 0 1-3 3h-3'
    'M12 26H9a3 3 0 0 1-3-3v-3" fill="none" stroke="currentColor" stroke-width="2" '
    'stroke-linecap="round"/><circle cx="16" cy="13.4" r="3.4" fill="currentColor"/>'
    '<path d="M9.8 22.6c.9-3.4 3.3-4.8 6.2-4.8s5.3 1.4 6.2 4.8" fill="none" '
    'stroke="currentColor" stroke-width="2" stroke-linecap="round"/></svg>'
)


def escape(words: str) -> str:
    """Words as HTML."""
    return html.escape(words)


def card_title(number: int, key: str, language: str) -> str:
    """Draw number and name of a step."""
    return (
        f'<h3 class="facepick-title"><span>{number}</span>{html.escape(text(key, language))}</h3>'
    )


def empty(key: str, language: str) -> str:
    """Say what to do while a place is still empty."""
    return (
        f'<div class="facepick-box facepick-empty"><b>{html.escape(text(key, language))}</b>'
        f"<p>{html.escape(text(key + '_help', language))}</p></div>"
    )


def config(tick_ms: int, *, greeted: bool) -> str:
    """Tell the page's JavaScript what it needs to know, unseen."""
    mark = ' data-facepick-greeted="1"' if greeted else ""
    return f'<i data-facepick-tick="{tick_ms}"{mark}></i>'


def hint(key: str, language: str) -> str:
    """Draw a quiet line above a widget."""
    return f'<p class="facepick-hint">{html.escape(text(key, language))}</p>'


def paragraph(words: str) -> str:
    """Draw a quiet line whose words are not in the catalogue as they stand."""
    return f'<p class="facepick-hint">{html.escape(words)}</p>'


def notice_list(headline: str, sentences: Sequence[str]) -> str:
    """Draw a box with several neutral sentences."""
    items = "".join(f"<li>{html.escape(s)}</li>" for s in sentences)
    return (
        f'<div class="facepick-box facepick-calm"><b>{html.escape(headline)}</b>'
        f"<ul>{items}</ul></div>"
    )


def notice(headline: str, sentence: str = "", *, kind: str = "good") -> str:
    """Draw a box with good (``good``) or neutral (``calm``) news."""
    rest = f"<p>{html.escape(sentence)}</p>" if sentence else ""
    return f'<div class="facepick-box facepick-{kind}"><b>{html.escape(headline)}</b>{rest}</div>'


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
        "fact_picture": picture,
        "fact_length": clock(float(info.duration_seconds)) if info.duration_seconds else unknown,
        "fact_rate": rate,
        "fact_sound": sound or text("fact_no_sound", language),
    }
    cells = "".join(
        f"<dt>{html.escape(text('fact_size' if key == 'fact_picture' else key, language))}</dt>"
        f"<dd>{html.escape(value)}</dd>"
        for key, value in rows.items()
    )
    tall = " data-facepick-tall" if info.height > info.width else ""
    return f'<dl class="facepick-facts"{tall}>{cells}</dl>'


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
        return f'<p class="facepick-hint">{html.escape(text("pick_hint", language))}</p>'
    chips = "".join(_chip(scan.person(key), language) for key in picked)
    count = text("picked_count", language, n=len(picked))
    return f'<div class="facepick-chips"><span>{html.escape(count)}</span>{chips}</div>'


def _chip(person: Person, language: str) -> str:
    sure = (
        text("unsure", language)
        if person.unsure
        else text("sure", language, p=round(person.confidence * 100))
    )
    seconds = text("seconds", language, s=f"{float(person.screen_time):.1f}")
    return (
        f'<span class="facepick-chip" style="--c:{color_of(person.id)}">'
        f"<i></i><b>{html.escape(person.label)}</b> {html.escape(seconds)} · {html.escape(sure)}"
        "</span>"
    )


def timeline(
    scan: Scan, shown: Sequence[str], picked: Sequence[str], at_seconds: float, language: str
) -> str:
    """Who is on screen when: one row a person, cuts as ticks, the place looked at as a line."""
    times = seconds_of(scan)
    length = max(times[-1], 1e-6) if len(times) else 1.0
    width, row_height, left = 1000, 26, 0
    rows = [scan.person(key) for key in shown]
    height = row_height * max(1, len(rows))
    cuts = "".join(
        f'<line x1="{x:.1f}" x2="{x:.1f}" y1="0" y2="{height}" class="facepick-cut"/>'
        for x in (width * times[s.start] / length for s in scan.shots if s.start > 0)
    )
    bars = []
    for number, person in enumerate(rows):
        color = color_of(person.id)
        faded = "" if not picked or person.id in picked else ' opacity=".38"'
        for start, stop in _spans(scan, person):
            x0 = left + width * times[start] / length
            x1 = left + width * times[min(stop, len(times) - 1)] / length
            bars.append(
                f'<rect x="{x0:.1f}" y="{number * row_height + 5}" '
                f'width="{max(1.5, x1 - x0):.1f}" height="{row_height - 10}" rx="3" '
                f'fill="{color}"{faded}/>'
            )
    cursor = min(1.0, max(0.0, at_seconds / length))
    names = "".join(
        f'<span style="--c:{color_of(p.id)}"><i></i>{html.escape(p.label)}</span>' for p in rows
    )
    ticks = "".join(
        f'<span style="left:{100 * t / length:.2f}%">{clock(t)}</span>' for t in _ticks(length)
    )
    return (
        f'<div class="facepick-timeline" role="img" '
        f'aria-label="{html.escape(text("timeline", language))}">'
        f'<div class="facepick-timeline-head"><b>{html.escape(text("timeline", language))}</b>'
        f"<span>{html.escape(text('timeline_hint', language))}</span></div>"
        f'<div class="facepick-timeline-body"><div class="facepick-names">{names}</div>'
        f'<div class="facepick-track" data-facepick-seek="{length:.3f}">'
        f'<svg viewBox="0 0 {width} {height}" preserveAspectRatio="none" '
        f'style="height:{height}px">{cuts}{"".join(bars)}</svg>'
        f'<i class="facepick-cursor" style="left:{100 * cursor:.2f}%"></i>'
        f'<div class="facepick-ticks">{ticks}</div></div></div></div>'
    )


def seconds_of(scan: Scan) -> list[float]:
    """When each frame is shown, in seconds since the first one; for drawing, not for timing."""
    base = scan.video.time_base
    scale = base.numerator / base.denominator
    return [float(v) for v in (scan.pts - scan.pts[0]) * scale] if len(scan.pts) else []


def _spans(scan: Scan, person: Person) -> list[tuple[int, int]]:
    """Stretches of frames, half-open, in which the person is on screen."""
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
    """Round moments, at most eight, that divide the length."""
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
    stroke = max(2.0, width / 320)
    font = max(14.0, width / 40)
    marks, seen = [], False
    for person in scan.people:
        if person.ignored:
            continue
        for track in scan.tracks_of(person.id):
            box = track.box_at(frame)
            if box is None:
                continue
            chosen = person.id in picked
            seen = seen or chosen
            color = color_of(person.id)
            w, h = box.x1 - box.x0, box.y1 - box.y0
            style = (
                f'stroke="{color}" stroke-width="{stroke * 1.4:.1f}"'
                if chosen
                else f'stroke="#fff" stroke-opacity=".75" stroke-width="{stroke * 0.7:.1f}" '
                f'stroke-dasharray="{stroke * 3:.0f} {stroke * 2:.0f}"'
            )
            label = html.escape(person.label)
            tag_width = font * (0.62 * len(person.label) + 0.9)
            tag_y = box.y0 - font * 1.35 if box.y0 > font * 1.5 else box.y1
            marks.append(
                f'<g data-facepick-act="pick:{html.escape(person.id)}" class="facepick-face">'
                f'<rect x="{box.x0:.1f}" y="{box.y0:.1f}" width="{w:.1f}" height="{h:.1f}" '
                f'rx="{stroke * 2:.1f}" fill="transparent" {style}/>'
                f'<rect x="{box.x0:.1f}" y="{tag_y:.1f}" width="{tag_width:.1f}" '
                f'height="{font * 1.35:.1f}" rx="{font / 4:.1f}" '
                f'fill="{color if chosen else "#000"}" '
                f'fill-opacity="{1 if chosen else 0.55}"/>'
                f'<text x="{box.x0 + font * 0.45:.1f}" y="{tag_y + font:.1f}" '
                f'font-size="{font:.1f}">{label}</text></g>'
            )
    shot = next((s.index + 1 for s in scan.shots if s.start <= frame < s.stop), 0)
    place = text("frame_place", language, frame=frame, shot=shot)
    tall = " facepick-tall" if height > width else ""
    if picked and not seen:
        place += " · " + text("frame_nobody", language)
    return (
        f'<figure class="facepick-frame{tall}"><div style="aspect-ratio:{width}/{height}">'
        f'<img src="{picture}" alt=""><svg viewBox="0 0 {width} {height}">'
        f"{''.join(marks)}</svg></div>"
        f"<figcaption>{_clock_exact(at_seconds)} · {html.escape(place)}</figcaption></figure>"
    )


def _clock_exact(seconds: float) -> str:
    minutes, rest = divmod(max(0.0, seconds), 60)
    return f"{int(minutes)}:{rest:05.2f}"


def assignments_table(rows: Iterable[Row], language: str) -> str:
    """Draw what will happen to whom.

    Args:
        rows: with ``faces`` (data URIs), ``who``, ``what``, ``into`` (data URIs of new faces),
            ``how`` and ``act`` (or None for the choice that is not in the list yet).
    """
    body = "".join(
        f"<tr{'' if row['act'] else ' class=facepick-current'}>"
        f'<td class="facepick-who">{"".join(_face(uri) for uri in row["faces"])}'
        f"<b>{html.escape(row['who'])}</b></td>"
        f"<td>{html.escape(row['what'])}</td>"
        f"<td>{''.join(_face(uri) for uri in row['into'])}{html.escape(row['how'])}</td>"
        f"<td>{_row_button(row, language)}</td></tr>"
        for row in rows
    )
    if not body:
        return ""
    heads = "".join(
        f"<th>{html.escape(text(k, language))}</th>" for k in ("col_who", "col_what", "col_how")
    )
    return (
        f'<div class="facepick-list"><b class="facepick-list-title">'
        f"{html.escape(text('assignments', language))}</b>"
        f"<table><thead><tr>{heads}<th></th></tr></thead><tbody>{body}</tbody></table></div>"
    )


SPEECH_ROWS = 50
"""Lines shown before a render; a list may hold thousands."""


def speech_view(rows: Sequence[Row], language: str) -> str:
    """Who will be heard when.

    Args:
        rows: with ``people`` (label, colour), ``start``, ``stop`` (seconds), ``file``, ``words``.
    """
    body = "".join(
        f"<tr><td>{'<br>'.join(_dotted(*person) for person in row['people'])}</td>"
        f"<td>{_clock_exact(row['start'])} – {_clock_exact(row['stop'])}</td>"
        f"<td>{html.escape(row['words'] or row['file'])}</td></tr>"
        for row in rows[:SPEECH_ROWS]
    )
    if not body:
        return ""
    more = text("lines_more", language, n=len(rows) - SPEECH_ROWS)
    heads = "".join(
        f"<th>{html.escape(text(k, language))}</th>" for k in ("col_who", "col_when", "speech_says")
    )
    return (
        f'<div class="facepick-list"><table><thead><tr>{heads}</tr></thead><tbody>{body}</tbody>'
        f"</table>{paragraph(more) if len(rows) > SPEECH_ROWS else ''}</div>"
    )


NOTICES_SHOWN = 12
"""In a box of the page; the report holds them all."""


def notices_view(notices: Sequence[Notice], language: str) -> str:
    """Say what people should know of a plan or a result; empty when there is nothing."""
    if not notices:
        return ""
    items = "".join(
        f"<li>{html.escape(notice_text(item, language))}</li>" for item in notices[:NOTICES_SHOWN]
    )
    if len(notices) > NOTICES_SHOWN:
        more = text("notices_more", language, n=len(notices) - NOTICES_SHOWN)
        items += f"<li>{html.escape(more)}</li>"
    return (
        f'<div class="facepick-box facepick-calm facepick-notices">'
        f"<b>{html.escape(text('notices', language))}</b><ul>{items}</ul></div>"
    )


def _dotted(label: str, color: str) -> str:
    return f'<span class="facepick-dot" style="--c:{color}"></span><b>{html.escape(label)}</b>'


def _face(uri: str) -> str:
    return f'<img class="facepick-avatar" src="{uri}" alt="">'


def _row_button(row: Row, language: str) -> str:
    if not row["act"]:
        return f'<span class="facepick-tag">{html.escape(text("current", language))}</span>'
    return act_button(row["act"], text("remove", language))


def act_button(act: str, label: str) -> str:
    """Draw a small button inside a table."""
    return (
        f'<button type="button" class="facepick-small" data-facepick-act="{html.escape(act)}">'
        f"{html.escape(label)}</button>"
    )


def small_copy(words: str) -> str:
    """Say below a player that it plays a copy.

    style.css takes gradio's scissors away: they would cut the copy, not the file.
    """
    return f'<div class="facepick-small-copy">{paragraph(words)}</div>'


def with_button(body: str, act: str, label: str) -> str:
    """Draw how a proxy stands, with a button."""
    return f'<div class="facepick-proxy">{body}{act_button(act, label)}</div>'


def card_room(body: str, buttons: Sequence[tuple[str, str]]) -> str:
    """Draw what is said of the graphics card, with the ways to go on (act and label)."""
    drawn = "".join(act_button(act, label) for act, label in buttons)
    return f'<div class="facepick-card-room">{body}{drawn}</div>'


def known_list(rows: Sequence[Row], more: int, language: str) -> str:
    """Draw the people known by name.

    Args:
        rows: with ``name``, ``faces`` (how many) and ``face`` (a data URI or None).
        more: how many are not shown.
    """
    body = "".join(
        f'<tr><td class="facepick-who">{_face(row["face"]) if row["face"] else ""}'
        f"<b>{html.escape(row['name'])}</b></td><td>{html.escape(_faces(row['faces'], language))}"
        f"</td><td>{act_button('forget:' + row['name'], text('forget', language))}</td></tr>"
        for row in rows
    )
    if not body:
        return ""
    rest = f'<p class="facepick-hint">{text("known_more", language, n=more)}</p>' if more else ""
    return f'<div class="facepick-list"><table><tbody>{body}</tbody></table>{rest}</div>'


def models_note(models: Sequence[ModelSpec], folder: str, goes_on: bool, language: str) -> str:
    """Which model files are missing, what they are for, and where they go.

    Args:
        folder: the one to put files into by hand.
        goes_on: whether the work goes on by itself when they have come.
    """
    if not models:
        return ""
    rest = text("models_go_on", language) if goes_on else ""
    return (
        f'<b class="facepick-models-title">{html.escape(text("models_title", language))}</b>'
        f"{models_list(models, folder, language, buttons=False)}"
        + (f'<p class="facepick-hint">{html.escape(rest)}</p>' if rest else "")
    )


def models_list(
    models: Sequence[ModelSpec], folder: str, language: str, *, buttons: bool = True
) -> str:
    """Model files with size and licence; what cannot be fetched with a link and the folder.

    Args:
        folder: the one to put files into by hand.
        buttons: whether each that can be fetched has its button.
    """
    items = "".join(_model_item(model, buttons, language) for model in models)
    key = "models_folder" if any(not m.can_fetch for m in models) else "models_folder_also"
    return (
        f'<ul class="facepick-models">{items}</ul><p class="facepick-hint">'
        f"{html.escape(text(key, language))} {copyable(folder, language)}</p>"
    )


def _model_item(model: ModelSpec, button: bool, language: str) -> str:
    licence = text("models_licence", language, licence=model.licence)
    facts = [f"{model.size / 1e6:.1f} MB"] if model.size else []
    facts.append(licence)
    if not model.commercial_use:
        facts.append(text("models_no_commerce", language))
    get = ""
    if model.can_fetch and button:
        get = act_button(f"get:{model.id}", text("models_get", language))
    link = ""
    if model.homepage and not model.can_fetch:
        link = (
            f'<a href="{html.escape(model.homepage)}" target="_blank" rel="noopener noreferrer">'
            f"{html.escape(text('models_see', language))}</a>"
        )
    purpose = model_purpose(model, language)
    return (
        f"<li><div><b>{html.escape(purpose)}</b><span><code>{html.escape(model.file)}</code> "
        f"{html.escape(' · '.join(facts))} {link}</span></div>{get}</li>"
    )


def copyable(words: str, language: str) -> str:
    """Words that a click copies, such as the path of a folder."""
    label = html.escape(text("copy", language))
    return (
        f'<code class="facepick-copy" role="button" tabindex="0" title="{label}" '
        f'data-facepick-copy="1">{html.escape(words)}</code>'
    )


def unusable(engines: Sequence[tuple[str, Sequence[ModelSpec]]], folder: str, language: str) -> str:
    """Engines that lack a model file, and how to get it, folded.

    Args:
        engines: label, and the files that are not there.
        folder: the one to put files into by hand.
    """
    if not engines:
        return ""
    items = "".join(
        f"<li><b>{html.escape(label)}</b>"
        f'<ul class="facepick-models">{"".join(_model_item(m, True, language) for m in models)}'
        "</ul></li>"
        for label, models in engines
    )
    place = f"{html.escape(text('models_folder', language))} {copyable(folder, language)}"
    key = "unusable_one" if len(engines) == 1 else "unusable"
    return (
        f'<details class="facepick-more"><summary>'
        f"{html.escape(text(key, language, n=len(engines)))}</summary><ul>{items}</ul>"
        f"<p>{place}</p></details>"
    )


def source_list(groups: Iterable[tuple[str, Sequence[Row]]], language: str) -> str:
    """Whose face may be put in, as buttons.

    Args:
        groups: word key of the group, and rows with ``label``, ``face`` (a data URI or None),
            ``act`` and perhaps ``remove``.
    """
    parts = []
    for key, rows in groups:
        if not rows:
            continue
        buttons = "".join(_source_button(row, language) for row in rows)
        parts.append(
            f'<div class="facepick-takes"><span>{html.escape(text(key, language))}</span>'
            f"<div>{buttons}</div></div>"
        )
    return "".join(parts)


def _source_button(row: Row, language: str) -> str:
    face = _face(row["face"]) if row["face"] else ""
    remove = ""
    if row.get("remove"):
        label = html.escape(f"{text('forget', language)}: {row['label']}")
        remove = (
            f'<button type="button" class="facepick-x" title="{label}" aria-label="{label}" '
            f'data-facepick-act="{html.escape(row["remove"])}">&times;</button>'
        )
    return (
        f'<span class="facepick-take"><button type="button" '
        f'data-facepick-act="{html.escape(row["act"])}">{face}{html.escape(row["label"])}</button>'
        f"{remove}</span>"
    )


def _faces(count: int, language: str) -> str:
    key = "known_one_face" if count == 1 else "known_faces"
    return text(key, language, n=count)


def sheet_view(picture: str, language: str) -> str:
    """Draw the picture of a comparison.

    Args:
        picture: a data URI.
    """
    label = html.escape(text("explain_sheet", language))
    return f'<img class="facepick-sheet" src="{picture}" alt="{label}">'


def debug_view(sheets: Sequence[str], language: str) -> str:
    """Contact sheets of an engine's steps, folded.

    Args:
        sheets: data URIs.
    """
    if not sheets:
        return ""
    label = html.escape(text("debug_sheets", language))
    images = "".join(f'<img class="facepick-sheet" src="{uri}" alt="{label}">' for uri in sheets)
    return f'<details class="facepick-more" open><summary>{label}</summary>{images}</details>'


_NOT_FRAMES = ("fetch", "read", "proxy")
"""Stages whose units are bytes or milliseconds."""


def progress_view(
    progress: Progress | None,
    language: str,
    *,
    thumbnail: str | None = None,
    stage: str = "queued",
) -> str:
    """Draw a moving bar with stage, frames, time left and the newest picture.

    While the total is unknown the bar moves without end.

    Args:
        stage: what is shown before the first report.
    """
    stage = progress.stage if progress else stage
    name = text(f"stage_{stage}", language) if has(f"stage_{stage}") else stage
    fraction = progress.fraction if progress else None
    details = []
    if progress and progress.stage == "wait":
        if progress.done:
            details.append(text("jobs_before", language, n=progress.done))
    elif progress and progress.stage not in _NOT_FRAMES and (progress.done or progress.total):
        details.append(
            text("frames_of", language, done=progress.done, total=progress.total)
            if progress.total
            else text("frames_done", language, done=progress.done)
        )
    if progress and progress.eta_seconds is not None:
        details.append(text("eta", language, time=clock(math.ceil(progress.eta_seconds))))
    if progress and progress.message:
        details.append(progress.message)
    percent = "" if fraction is None else f"{round(100 * fraction)} %"
    bar = (
        '<i class="facepick-endless"></i>'
        if fraction is None
        else f'<i style="width:{100 * fraction:.1f}%"></i>'
    )
    value = "" if fraction is None else f' aria-valuenow="{round(100 * fraction)}"'
    picture = f'<img src="{thumbnail}" alt="">' if thumbnail else ""
    return (
        f'<div class="facepick-progress" data-facepick-busy="1">{picture}<div>'
        f'<div class="facepick-progress-head"><b>{html.escape(name)}</b><span>{percent}</span>'
        f'</div><div class="facepick-bar" role="progressbar" aria-valuemin="0" '
        f'aria-valuemax="100"{value} aria-label="{html.escape(name)}">{bar}</div>'
        f"<p>{html.escape(' · '.join(details))}</p></div></div>"
    )


def jobs_table(rows: Iterable[Row], language: str) -> str:
    """Earlier jobs, newest first.

    Args:
        rows: with ``state``, ``kind``, ``name``, ``when``, ``note``, ``percent`` and ``acts``
            (pairs of action and word key).
    """
    items = "".join(_job_row(row, language) for row in rows)
    if not items:
        return f'<p class="facepick-hint">{html.escape(text("jobs_empty", language))}</p>'
    return f'<ul class="facepick-jobs">{items}</ul>'


def _job_row(row: Row, language: str) -> str:
    state = text("state_" + row["state"], language)
    if row["percent"] is not None:
        state += f" {row['percent']} %"
    details = " · ".join(part for part in (row["when"], row["note"]) if part)
    buttons = "".join(act_button(act, text(key, language)) for act, key in row["acts"])
    return (
        f'<li class="facepick-job"><span class="facepick-state facepick-state-{row["state"]}">'
        f"{html.escape(state)}</span><div><b>{html.escape(text('job_' + row['kind'], language))}"
        f"</b> {html.escape(row['name'])}<small>{html.escape(details)}</small></div>"
        f"<span>{buttons}</span></li>"
    )


def report_view(people: Iterable[Mapping[str, Any]], marked: bool, language: str) -> str:
    """Say what was changed and what was left alone, and why.

    Args:
        people: with ``label``, ``what``, ``color``, ``changed`` (frames), ``left`` (reason ->
            frames) and perhaps ``closed`` (frames in which a mouth was only shut).
    """
    rows = []
    for person in people:
        total = max(1, int(person["changed"]) + sum(person["left"].values()))
        left = " · ".join(
            f"{_reason(reason, language)}: {text('report_frames', language, n=count)}"
            for reason, count in sorted(person["left"].items(), key=lambda kv: -kv[1])
            if count
        )
        rows.append(
            f'<tr><td><span class="facepick-dot" style="--c:{person["color"]}"></span>'
            f"<b>{html.escape(person['label'])}</b></td><td>{html.escape(person['what'])}</td>"
            f'<td><div class="facepick-share"><i style="width:'
            f'{100 * int(person["changed"]) / total:.1f}%;background:{person["color"]}"></i></div>'
            f"{html.escape(text('report_frames', language, n=person['changed']))}"
            f"{_closed(person.get('closed', 0), language)}</td>"
            f"<td>{html.escape(left) or '-'}</td></tr>"
        )
    if not rows:
        return ""
    heads = "".join(
        f"<th>{html.escape(text(key, language))}</th>"
        for key in ("col_who", "col_what", "report_changed", "report_left")
    )
    marks = (
        f'<p class="facepick-hint">{html.escape(text("report_marks", language))}</p>'
        if marked
        else ""
    )
    return (
        f'<div class="facepick-list"><b class="facepick-list-title">'
        f"{html.escape(text('report', language))}</b><table><thead><tr>{heads}</tr></thead>"
        f"<tbody>{''.join(rows)}</tbody></table>{marks}</div>"
    )


def _closed(count: int, language: str) -> str:
    return f"<br>{html.escape(text('report_closed', language, n=count))}" if count else ""


def _reason(reason: str, language: str) -> str:
    key = f"reason_{reason}"
    return text(key, language) if has(key) else reason.replace("_", " ")
