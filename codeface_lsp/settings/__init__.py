"""Settings: typed (`schema`), layered (`layers`), and strict about unknown keys."""

from codeface_lsp.settings.layers import SECTION, load, refused_keys, section
from codeface_lsp.settings.schema import (
    ALL_KEYS,
    WORKSPACE_KEYS,
    CacheSettings,
    ChatSettings,
    CompletionSettings,
    ContextSettings,
    EndpointSettings,
    EngineSettings,
    ModelSettings,
    ServedRole,
    Settings,
)

__all__ = [
    "ALL_KEYS",
    "SECTION",
    "WORKSPACE_KEYS",
    "CacheSettings",
    "ChatSettings",
    "CompletionSettings",
    "ContextSettings",
    "EndpointSettings",
    "EngineSettings",
    "ModelSettings",
    "ServedRole",
    "Settings",
    "load",
    "refused_keys",
    "section",
]
