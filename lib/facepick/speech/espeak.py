"""Pronunciation of a text by espeak-ng, where it is installed.

A program on the path, or the library in the wheel ``espeakng-loader``.  Either is used as it is, in
a process of its own, and never shipped: it is under the GPL, and its library ends the process
that loads it without its data.
"""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
from importlib.util import find_spec

from facepick.programs import SAFE_PATH

__all__ = ["espeak_found", "spoken_ipa"]

WHEEL = "espeakng_loader"

SECONDS = 20.0
"""A sentence takes milliseconds; a program that needs longer hangs."""

_VOICES = {"cmn": ("cmn-latn-pinyin", "cmn"), "zh": ("cmn-latn-pinyin", "cmn")}
"""espeak-ng 1.51 writes Mandarin in pinyin and then reads that as English, with the numbers of the
tones as words; in its other Mandarin voice it does not."""
_TONAL = ("cmn", "zh", "yue", "hak")

# Reads UTF-8 from its input: flags 1 (UTF-8) and 2 (IPA); 0x8000 lets a missing folder be an error
# that is returned.  The voice's name is the only argument.
_LIBRARY = """
import ctypes, sys
import espeakng_loader
espeak = ctypes.CDLL(espeakng_loader.get_library_path())
espeak.espeak_TextToPhonemes.restype = ctypes.c_char_p
folder = espeakng_loader.get_data_path().encode()
if espeak.espeak_Initialize(1, 0, folder, 0x8000) < 0:
    sys.exit(1)
if espeak.espeak_SetVoiceByName(sys.argv[1].encode()):
    sys.exit(1)
text = ctypes.create_string_buffer(sys.stdin.buffer.read())
at = ctypes.c_void_p(ctypes.addressof(text))
while at.value:
    sys.stdout.buffer.write(espeak.espeak_TextToPhonemes(ctypes.byref(at), 1, 2) + b"\\n")
"""


def espeak_found() -> str:
    """Find the path of the program, or the name of the wheel; empty without both."""
    program = shutil.which("espeak-ng") or shutil.which("espeak")
    return program or (WHEEL if find_spec(WHEEL) is not None else "")


def spoken_ipa(text: str, language: str) -> str | None:
    """Pronounce `text` as IPA, words parted by blanks, or None without espeak-ng or the language.

    Args:
        language: espeak-ng's name of it.
    """
    if not re.fullmatch(r"[A-Za-z]{2,4}(-[A-Za-z0-9]{1,8})*", language):
        return None
    base = language.lower().split("-")[0]
    for voice in _VOICES.get(base, (language,)):
        said = _said(text, voice)
        if said is None:
            continue
        # "(de)word(en)" marks a change of language inside a sentence.
        said = re.sub(r"\([a-z-]+\)", "", said)
        # The digit 3 of a tone is printed like the vowel.
        return (said.replace("ɜ", "") if base in _TONAL else said) or None
    return None


def _said(text: str, voice: str) -> str | None:
    found = espeak_found()
    if not found:
        return None
    command = [found, "-q", "--ipa", "-v", voice, "--stdin"]
    if found == WHEEL:
        command = [sys.executable, "-c", f"{SAFE_PATH}\n{_LIBRARY}", voice]
    try:
        done = subprocess.run(
            command, input=text.encode("utf-8"), capture_output=True, timeout=SECONDS, check=True
        )
    except (OSError, subprocess.SubprocessError):
        return None
    return done.stdout.decode("utf-8", "replace")
