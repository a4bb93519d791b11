"""The HTML file: the page's parts and its content in one, under a policy that lets nothing else run or load."""

import base64
import hashlib
import string
from pathlib import Path

__all__ = ["SCRIPTS", "assemble"]

FOLDER = Path(__file__).parent
SCRIPTS = (
    "network.js", "data.js", "drawing.js", "words.js", "parts.js", "pictures.js", "look.js", "back.js", "time.js",
    "links.js", "page.js",
)  # fmt: skip
"""In the sequence in which they stand in the page; the last starts it."""


def assemble(data: str) -> str:
    """The page's HTML around its content, JSON.

    The content security policy names the page's own scripts and style by their SHA-256. What the content holds is
    inert: it stands in a block of data, in which no ``<`` can end the block, and the scripts show it as text; the
    policy also forbids them to make markup of a text.
    """
    style = (FOLDER / "style.css").read_text("utf-8")
    scripts = [(FOLDER / name).read_text("utf-8") for name in SCRIPTS]
    policy = (
        f"default-src 'none'; script-src {' '.join(map(_hash, scripts))}; style-src {_hash(style)}; img-src data:; "
        "base-uri 'none'; form-action 'none'; require-trusted-types-for 'script'; trusted-types 'none'"
    )
    for sign in "<>&\u2028\u2029":
        data = data.replace(sign, f"\\u{ord(sign):04x}")
    page = string.Template((FOLDER / "page.html").read_text("utf-8"))
    elements = "\n".join(f"<script>{script}</script>" for script in scripts)
    return page.substitute(policy=policy, style=style, data=data, scripts=elements)


def _hash(text: str) -> str:
    return f"'sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()}'"
