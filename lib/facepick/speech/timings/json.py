"""JSON of aligners, recognisers and services of speech."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from facepick.errors import UserInputError
from facepick.speech.timings.rows import Found, Row, of_tiers, seconds_of

__all__ = ["parse_json", "read_json_times"]

# Microsoft's visemes 0 to 21, from what the documentation of SAPI and Azure lists for each.
_VISEMES = (
    "SIL", "AH", "AA", "AO", "EH", "ER", "IY", "UW", "OW", "AW", "OY", "AY", "HH", "R", "L", "S",
    "SH", "DH", "F", "T", "K", "P",
)  # fmt: skip
_LAST_SECONDS = 0.1
"""How long the last sound lasts where only starts are told."""


def parse_json(name: str, text: str) -> Any:
    """Parse JSON, or one JSON object a line.

    Raises:
        UserInputError: it is neither, or nested too deeply.
    """
    try:
        return json.loads(text)
    except RecursionError as error:
        raise UserInputError(f"{name} is nested too deeply.") from error
    except ValueError as error:
        # One object a line, as Amazon Polly's speech marks.
        try:
            return [json.loads(row) for row in text.splitlines() if row.strip()]
        except (ValueError, RecursionError):
            raise UserInputError(f"{name} is not JSON: {error}.") from error


def read_json_times(name: str, data: Any) -> Found:
    """Read the times that parsed JSON holds, whichever program wrote it."""
    if isinstance(data, Mapping):
        return _from_object(name, data)
    if not isinstance(data, list):
        raise UserInputError(f"{name} must be a list of phones with their times.")
    if data and all(isinstance(item, Mapping) for item in data):
        keys = {str(key).lower().replace("_", "") for item in data for key in item}
        if "visemeid" in keys:
            return Found(phones=_from_azure(name, data))
        if {"time", "type", "value"} <= keys:
            return _from_polly(name, data)
        if "word" in keys and not keys & {"phone", "phoneme"}:
            return _from_words(name, data)
    return Found(either=_from_entries(name, data, "phone", "phoneme", "symbol", "label"))


def _from_object(name: str, data: Mapping[Any, Any]) -> Found:
    tiers = data.get("tiers")
    if isinstance(tiers, Mapping):
        # The Montreal Forced Aligner's JSON.
        return of_tiers(
            name,
            [
                (str(title), _from_entries(f"{name}, tier {title!r:.40}", tier["entries"]))
                for title, tier in tiers.items()
                if isinstance(tier, Mapping) and isinstance(tier.get("entries"), list)
            ],
        )
    aligned = data.get("alignment")
    characters = aligned if isinstance(aligned, Mapping) else data
    if "character_start_times_seconds" in characters:
        return Found(words=_from_characters(name, characters))
    if isinstance(data.get("phones"), list) and data["phones"]:
        return Found(phones=_from_entries(name, data["phones"], "phone", "phoneme", "label"))
    if isinstance(data.get("words"), list):
        return _from_words(name, data["words"])
    if isinstance(data.get("segments"), list):
        listed = [s.get("words") for s in data["segments"] if isinstance(s, Mapping)]
        return _from_words(name, [w for words in listed if isinstance(words, list) for w in words])
    raise UserInputError(
        f"{name} holds no phones and no words.",
        hint='Give a list such as [{"start": 0.1, "end": 0.2, "phone": "HH"}].',
    )


def _from_entries(name: str, items: Sequence[Any], *labels: str) -> list[Row]:
    """Read objects, or lists of start, end, name; those with a duration alone follow each other."""
    rows: list[Row] = []
    for number, item in enumerate(items, 1):
        where = f"{name}, entry {number}"
        if isinstance(item, list) and len(item) == 3:
            start, stop, label = seconds_of(where, item[0]), seconds_of(where, item[1]), item[2]
        elif isinstance(item, Mapping):
            before = rows[-1].stop if rows else 0.0
            label = next((item[key] for key in labels if item.get(key) is not None), None)
            first = next((item[k] for k in ("start", "begin", "xmin") if k in item), None)
            last = next((item[k] for k in ("end", "stop", "xmax") if k in item), None)
            start = before if first is None else seconds_of(where, first)
            if last is None:
                stop = start + seconds_of(where, item.get("duration"))
            else:
                stop = seconds_of(where, last)
        else:
            raise UserInputError(f"{where}: must be an object, got {item!r:.40}.")
        if not isinstance(label, str):
            raise UserInputError(f"{where}: names no phone.", hint='It should hold "phone".')
        rows.append(Row(start, stop, label, where))
    return rows


def _from_words(name: str, items: Sequence[Any]) -> Found:
    """Read words, and their phones where each word has them, as Gentle writes it."""
    phones: list[Row] = []
    words: list[Row] = []
    for number, item in enumerate(items, 1):
        where = f"{name}, word {number}"
        if not isinstance(item, Mapping):
            if isinstance(item, list):
                words += [replace(row, where=where) for row in _from_entries(name, [item])]
                continue
            raise UserInputError(f"{where}: must be an object, got {item!r:.40}.")
        if "start" not in item or "end" not in item:
            # Gentle and Whisper list words that they have not found, without a time.
            continue
        start, stop = seconds_of(where, item["start"]), seconds_of(where, item["end"])
        label = item.get("word", item.get("text", item.get("label")))
        words.append(Row(start, stop, label if isinstance(label, str) else "", where))
        for inner in item.get("phones") or ():
            row = _from_entries(where, [inner], "phone")[0] if isinstance(inner, Mapping) else None
            if row is None:
                raise UserInputError(f"{where}: its phones must be objects.")
            length = row.stop - row.start
            phones.append(replace(row, start=start, stop=start + length, where=where))
            start += length
    return Found(phones=phones, words=words)


def _from_characters(name: str, data: Mapping[Any, Any]) -> list[Row]:
    """Read ElevenLabs: when each character is said; those without a blank between make a word."""
    keys = ("characters", "character_start_times_seconds", "character_end_times_seconds")
    columns = [data.get(key) for key in keys]
    if (
        not all(isinstance(column, list) for column in columns)
        or len({len(column) for column in columns if isinstance(column, list)}) != 1
    ):
        raise UserInputError(f"{name} must have as many times as characters.")
    rows: list[Row] = []
    joined = False
    characters, starts, stops = ([*column] for column in columns if column is not None)
    for number, (sign, a, b) in enumerate(zip(characters, starts, stops, strict=True), 1):
        where = f"{name}, character {number}"
        start, stop = seconds_of(where, a), seconds_of(where, b)
        part_of_word = isinstance(sign, str) and (sign.isalnum() or sign in "'’")
        if part_of_word and joined:
            rows[-1] = replace(rows[-1], stop=stop, label=rows[-1].label + sign)
        elif part_of_word:
            rows.append(Row(start, stop, sign, where))
        joined = part_of_word
    return rows


def _from_polly(name: str, items: Sequence[Mapping[Any, Any]]) -> Found:
    """Read Polly's marks: milliseconds at which visemes, named in X-SAMPA, and words begin."""
    marks: dict[str, list[tuple[float, str, str]]] = {"viseme": [], "word": []}
    for number, item in enumerate(items, 1):
        where = f"{name}, line {number}"
        if item.get("type") in marks:
            start = seconds_of(where, item.get("time")) / 1000
            marks[item["type"]].append((start, str(item.get("value")), where))
    if marks["viseme"]:
        return Found(phones=_until_next(marks["viseme"]))
    return Found(words=_until_next(marks["word"]))


def _from_azure(name: str, items: Sequence[Mapping[Any, Any]]) -> list[Row]:
    """Read Azure's viseme events: units of 100 ns at which one of 22 shapes begins."""
    marks = []
    for number, item in enumerate(items, 1):
        where = f"{name}, entry {number}"
        entry = {str(key).lower().replace("_", ""): value for key, value in item.items()}
        shape = entry.get("visemeid")
        if not isinstance(shape, int) or not 0 <= shape < len(_VISEMES):
            raise UserInputError(f"{where}: there is no viseme {shape!r:.40}; they are 0 to 21.")
        start = seconds_of(where, entry.get("audiooffset")) * 1e-7
        marks.append((start, _VISEMES[shape], where))
    return _until_next(marks)


def _until_next(marks: Sequence[tuple[float, str, str]]) -> list[Row]:
    stops = [start for start, _, _ in marks[1:]]
    if marks:
        stops.append(marks[-1][0] + _LAST_SECONDS)
    return [
        Row(start, stop, label, where)
        for (start, label, where), stop in zip(marks, stops, strict=True)
    ]
