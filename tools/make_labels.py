"""Draws the words of the AI label once, so that no font is needed to show it.

    python tools/make_labels.py FONT

FONT has Latin and Chinese letters, such as Noto Sans CJK (SIL Open Font License).
"""

import sys
from pathlib import Path

from PIL import Image, ImageDraw, ImageFont

WORDS = {"en": "AI-edited", "zh": "AI 生成"}
HEIGHT_PX = 128


def main() -> None:
    font = ImageFont.truetype(sys.argv[1], round(HEIGHT_PX * 0.72))
    folder = Path(__file__).resolve().parents[1] / "lib" / "facepick" / "render" / "data"
    for name, words in WORDS.items():
        width = round(font.getlength(words)) + HEIGHT_PX // 2
        image = Image.new("L", (width, HEIGHT_PX), 0)
        ImageDraw.Draw(image).text((width / 2, HEIGHT_PX / 2), words, 255, font, anchor="mm")
        image.save(folder / f"label_{name}.png", optimize=True)


if __name__ == "__main__":
    main()
