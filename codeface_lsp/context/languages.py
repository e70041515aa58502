"""The languages that have syntax: LSP language ids, their grammars, file extensions and comment signs.

One table. A language that is missing here works too, by lines.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import lru_cache
from pathlib import PurePath


@dataclass(frozen=True, slots=True)
class Language:
    """One language; `ids` are LSP language ids (the first one is the usual), `grammar` names a tree-sitter grammar."""

    ids: tuple[str, ...]
    grammar: str
    extensions: tuple[str, ...]
    line_comment: str = ""
    block_comment: tuple[str, str] | None = None
    indented: bool = False
    """Whether indentation is the block structure."""
    prose: bool = False
    """Markup or data: no functions to look for."""


_C = ("/*", "*/")
_XML = ("<!--", "-->")

LANGUAGES: tuple[Language, ...] = (
    Language(("python",), "python", ("py", "pyi", "pyw"), "#", indented=True),
    Language(("javascript", "javascriptreact"), "javascript", ("js", "jsx", "mjs", "cjs"), "//", _C),
    Language(("typescript",), "typescript", ("ts", "mts", "cts"), "//", _C),
    Language(("typescriptreact",), "tsx", ("tsx",), "//", _C),
    Language(("go",), "go", ("go",), "//", _C),
    Language(("rust",), "rust", ("rs",), "//", _C),
    Language(("java",), "java", ("java",), "//", _C),
    Language(("c",), "c", ("c", "h"), "//", _C),
    Language(("cpp", "cuda-cpp"), "cpp", ("cpp", "cc", "cxx", "hpp", "hh", "hxx", "cu", "cuh"), "//", _C),
    Language(("csharp",), "csharp", ("cs",), "//", _C),
    Language(("ruby",), "ruby", ("rb", "rake", "gemspec"), "#"),
    Language(("php",), "php", ("php",), "//", _C),
    Language(("kotlin",), "kotlin", ("kt", "kts"), "//", _C),
    Language(("swift",), "swift", ("swift",), "//", _C),
    Language(("scala",), "scala", ("scala", "sc", "sbt"), "//", _C),
    Language(("lua",), "lua", ("lua",), "--"),
    Language(("shellscript", "bash", "sh", "zsh"), "bash", ("sh", "bash", "zsh"), "#"),
    Language(("html",), "html", ("html", "htm", "xhtml"), block_comment=_XML, prose=True),
    Language(("css",), "css", ("css",), block_comment=_C, prose=True),
    Language(("scss", "less"), "scss", ("scss",), "//", _C, prose=True),
    Language(("json", "jsonc"), "json", ("json", "jsonc"), "//", prose=True),
    Language(("yaml", "dockercompose"), "yaml", ("yaml", "yml"), "#", indented=True, prose=True),
    Language(("toml",), "toml", ("toml",), "#", prose=True),
    Language(("markdown",), "markdown", ("md", "markdown"), block_comment=_XML, prose=True),
    Language(("sql",), "sql", ("sql",), "--", _C),
    Language(("haskell",), "haskell", ("hs",), "--", ("{-", "-}"), indented=True),
    Language(("julia",), "julia", ("jl",), "#", ("#=", "=#")),
    Language(("elixir",), "elixir", ("ex", "exs"), "#"),
    Language(("zig",), "zig", ("zig",), "//"),
    Language(("dart",), "dart", ("dart",), "//", _C),
    Language(("r",), "r", ("r", "R"), "#"),
    Language(("perl",), "perl", ("pl", "pm"), "#"),
    Language(("ocaml",), "ocaml", ("ml",), block_comment=("(*", "*)")),
    Language(("objective-c",), "objc", ("m",), "//", _C),
    Language(("dockerfile",), "dockerfile", ("dockerfile",), "#", prose=True),
    Language(("makefile",), "make", ("mk",), "#", prose=True),
    Language(("cmake",), "cmake", ("cmake",), "#", prose=True),
    Language(("vue",), "vue", ("vue",), block_comment=_XML, prose=True),
    Language(("svelte",), "svelte", ("svelte",), block_comment=_XML, prose=True),
    Language(("xml",), "xml", ("xml", "svg", "xsd"), block_comment=_XML, prose=True),
    Language(("ini", "properties"), "ini", ("ini", "cfg"), "#", prose=True),
    Language(("groovy",), "groovy", ("groovy", "gradle"), "//", _C),
    Language(("powershell",), "powershell", ("ps1", "psm1"), "#", ("<#", "#>")),
    Language(("erlang",), "erlang", ("erl", "hrl"), "%"),
    Language(("clojure",), "clojure", ("clj", "cljs", "cljc"), ";"),
    Language(("nix",), "nix", ("nix",), "#", _C),
    Language(("terraform", "hcl"), "hcl", ("tf", "hcl"), "#", _C, prose=True),
    Language(("proto3", "proto"), "proto", ("proto",), "//", _C),
    Language(("graphql",), "graphql", ("graphql", "gql"), "#", prose=True),
    Language(("latex", "tex"), "latex", ("tex",), "%", prose=True),
    Language(("fsharp",), "fsharp", ("fs",), "//", ("(*", "*)"), indented=True),
    Language(("solidity",), "solidity", ("sol",), "//", _C),
)

_BY_ID = {id_: language for language in LANGUAGES for id_ in language.ids}
_BY_EXTENSION = {extension.lower(): language for language in LANGUAGES for extension in language.extensions}
_BY_NAME = {
    "dockerfile": _BY_ID["dockerfile"],
    "makefile": _BY_ID["makefile"],
    "gnumakefile": _BY_ID["makefile"],
    "cmakelists.txt": _BY_ID["cmake"],
    "rakefile": _BY_ID["ruby"],
    "gemfile": _BY_ID["ruby"],
}
_CPP = re.compile(
    r"^\s*(?:template\s*<|namespace\b|class\s+\w+|using\s+\w+|(?:public|private|protected)\s*:)|\bstd::",
    re.MULTILINE,
)


def by_id(language_id: str) -> Language | None:
    """Return the language of an LSP language id, None if it has no grammar here."""
    return _BY_ID.get(language_id)


@lru_cache(maxsize=20_000)
def of_path(path: str | PurePath) -> Language | None:
    """Return the language of a file by its name, None if unknown."""
    name = PurePath(path).name.lower()
    return _BY_NAME.get(name) or _BY_EXTENSION.get(name.rpartition(".")[2] if "." in name else "")


def of_file(path: str | PurePath, text: str) -> Language | None:
    """Return the language of a file by its name and its text: a header with C++ in it is C++."""
    language = of_path(path)
    if language is not None and language.grammar == "c" and _CPP.search(text):
        return _BY_ID["cpp"]
    return language


def id_of_path(path: str | PurePath) -> str:
    """Return the LSP language id of a file by its name; `plaintext` if unknown."""
    language = of_path(path)
    if language is None:
        return "plaintext"
    return "javascriptreact" if str(path).endswith(".jsx") else language.ids[0]
