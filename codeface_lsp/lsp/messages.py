"""Types of the custom `codeface/...` messages, and mending of what real clients get wrong.

pygls hands the parameters of unknown methods over as namedtuples with keywords renamed. Registering an attrs class for
a method gives typed parameters instead: snake_case attributes, camelCase on the wire.
"""

from __future__ import annotations

from typing import Any

import attrs
from cattrs import Converter
from cattrs.gen import make_dict_structure_fn, make_dict_unstructure_fn, override

_TYPES: dict[str, type[Any]] = {}
_PARAMETERS: list[type[Any]] = []


def camel(name: str) -> str:
    """`text_document` -> `textDocument`."""
    head, *rest = name.split("_")
    return head + "".join(word.capitalize() for word in rest)


def typed(method: str, params: type[Any], *, notification: bool = False) -> None:
    """Give the requests (or the notifications) of `method` the attrs class `params` as parameters.

    pygls takes whatever has an `id` for a request and answers it, so that a notification's class has none.
    """
    if not attrs.has(params):
        raise TypeError(f"{params.__name__} is not an attrs class")
    _PARAMETERS.append(params)
    name = params.__name__.removesuffix("Params") + "Message"
    fields = {
        "method": attrs.field(type=str),
        "params": attrs.field(type=params),
        "jsonrpc": attrs.field(type=str, default="2.0"),
    }
    if not notification:
        fields["id"] = attrs.field(type=Any, default=None)
    _TYPES[method] = attrs.make_class(name, fields)


def message_type(method: str) -> type[Any] | None:
    """The registered message class of a custom method."""
    return _TYPES.get(method)


def teach(converter: Converter) -> Converter:
    """Register hooks for all typed parameters."""
    for params in _PARAMETERS:
        names: dict[str, Any] = {f.name: override(rename=camel(f.name)) for f in attrs.fields(params)}
        converter.register_structure_hook(params, make_dict_structure_fn(params, converter, **names))
        converter.register_unstructure_hook(params, make_dict_unstructure_fn(params, converter, **names))
    return converter


def mend(message: dict[str, Any]) -> dict[str, Any]:
    """Repair what widespread clients send against the specification, so that they get an answer.

    Older vscode-languageclient sends `triggerKind: 0` for an explicit request; some clients leave out `context`.
    """
    params = message.get("params")
    if message.get("method") == "textDocument/inlineCompletion" and isinstance(params, dict):
        context = params.setdefault("context", {})
        if isinstance(context, dict):
            kind = context.setdefault("triggerKind", 2)
            if kind not in (1, 2):
                context["triggerKind"] = 1 if kind == 0 else 2
    return message
