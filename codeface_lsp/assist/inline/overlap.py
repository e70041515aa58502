"""What a suggestion and the text after the cursor have in common, so that nothing stands there twice."""

from __future__ import annotations

from codeface_lsp.assist.inline import brackets
from codeface_lsp.assist.inline.place import Place
from codeface_lsp.context.sites import closing_only

_MOST_LINES = 12
_SURE_CHARS = 3
"""A shorter agreement with code right of the cursor may be chance."""


def without_lines_below(text: str, place: Place) -> str:
    """Cut the lines at the end of `text` that are the next lines of the file."""
    below = place.lines_below(_MOST_LINES)
    lines = text.split("\n")
    content = [(index, line.rstrip()) for index, line in enumerate(lines) if line.strip()]
    if content and content[0][0] == 0:
        content[0] = (0, (place.before + lines[0]).rstrip())
    for count in range(min(len(content), len(below)), 0, -1):
        if [line for _, line in content[-count:]] == below[:count]:
            return "\n".join(lines[: content[-count][0]]).rstrip()
    return text


def reconcile(text: str, place: Place) -> tuple[str, str]:
    """Fit `text` to the rest of the cursor's line: `(text, replaced)`, where `replaced` begins the rest.

    Closing signs right of the cursor that the text supplies itself are covered by it, or left out of it if it ends
    in them. Other code there, which the model saw, is cut off the text's end.
    """
    rest = place.rest.rstrip()
    if not rest:
        return text, ""
    if not closing_only(rest):
        return _without_rest(text, rest), ""
    covered = _supplied(text, place, rest)
    if covered and text.endswith(covered):
        return text[: len(text) - len(covered)], ""
    return text, covered


def _supplied(text: str, place: Place, rest: str) -> str:
    """The beginning of `rest` that the text closes by itself."""
    line = brackets.scan(place.before, place.snapshot.language)
    closed = list(brackets.scan(text, place.snapshot.language, line).closed)
    supplied = 0
    for index, sign in enumerate(rest):
        if closed and sign == closed[0]:
            closed.pop(0)
            supplied = index + 1
        elif not sign.isspace():
            break
    if supplied and supplied < len(rest) and text.endswith(rest):
        return rest  # separators that both end in: `),`
    return rest[:supplied]


def _without_rest(text: str, rest: str) -> str:
    for count in range(min(len(text), len(rest)), 0, -1):
        if text.endswith(rest[:count]):
            sure = count >= _SURE_CHARS or count == len(rest) or not rest[:count].isalnum()
            return text[: len(text) - count] if sure else text
    return text
