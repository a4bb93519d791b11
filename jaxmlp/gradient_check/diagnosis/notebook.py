"""Answers in a notebook: the conclusion in colour, the rest as it is printed."""

import html

__all__ = ["in_notebook"]


def in_notebook(text: str, ok: bool) -> str:
    """HTML of ``text``, whose first line says whether all is ``ok``."""
    first, _, rest = html.escape(text, quote=False).partition("\n")
    return f'<pre><b style="color:{"#2c974b" if ok else "#cf222e"}">{first}</b>\n{rest}</pre>'
