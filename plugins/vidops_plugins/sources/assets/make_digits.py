"""Makes digits.ttf, the font of the test picture: seven-segment digits and the marks between. Run by hand.

    python -m pip install fonttools && python make_digits.py

A font of our own, since a host (or the FFmpeg from PyPI) may have none, and drawtext needs one.
"""

from __future__ import annotations

from pathlib import Path

from fontTools.fontBuilder import FontBuilder
from fontTools.pens.ttGlyphPen import TTGlyphPen

UNITS, WIDTH, LEFT, RIGHT, TOP, MIDDLE, STROKE = 1000, 620, 70, 550, 800, 400, 100
SEGMENTS = {
    "a": (LEFT, TOP - STROKE, RIGHT, TOP),
    "b": (RIGHT - STROKE, MIDDLE, RIGHT, TOP),
    "c": (RIGHT - STROKE, 0, RIGHT, MIDDLE),
    "d": (LEFT, 0, RIGHT, STROKE),
    "e": (LEFT, 0, LEFT + STROKE, MIDDLE),
    "f": (LEFT, MIDDLE, LEFT + STROKE, TOP),
    "g": (LEFT, MIDDLE - STROKE // 2, RIGHT, MIDDLE + STROKE // 2),
}
DIGITS = ["abcdef", "bc", "abged", "abgcd", "fgbc", "afgcd", "afgedc", "abc", "abcdefg", "abcdfg"]
MARKS = {
    ":": [(260, 150, 360, 250), (260, 550, 360, 650)],
    ".": [(260, 0, 360, 100)],
    "-": [SEGMENTS["g"]],
    " ": [],
}


def glyph(boxes: list[tuple[int, int, int, int]]) -> object:
    pen = TTGlyphPen(None)
    for x0, y0, x1, y1 in boxes:
        pen.moveTo((x0, y0))
        for point in ((x0, y1), (x1, y1), (x1, y0)):
            pen.lineTo(point)
        pen.closePath()
    return pen.glyph()


def main() -> None:
    boxes = {str(n): [SEGMENTS[s] for s in segments] for n, segments in enumerate(DIGITS)} | MARKS
    names = {character: f"uni{ord(character):04X}" for character in boxes}
    builder = FontBuilder(UNITS, isTTF=True)
    builder.setupGlyphOrder([".notdef", *names.values()])
    builder.setupCharacterMap({ord(character): name for character, name in names.items()})
    builder.setupGlyf({".notdef": glyph([]), **{names[c]: glyph(b) for c, b in boxes.items()}})
    builder.setupHorizontalMetrics(dict.fromkeys([".notdef", *names.values()], (WIDTH, 0)))
    builder.setupHorizontalHeader(ascent=900, descent=-100)
    builder.setupNameTable({"familyName": "vidops digits", "styleName": "Regular"})
    builder.setupOS2(sTypoAscender=900, sTypoDescender=-100, usWinAscent=900, usWinDescent=100)
    builder.setupPost()
    builder.save(Path(__file__).with_name("digits.ttf"))


if __name__ == "__main__":
    main()
