from __future__ import annotations

from training.corpus import Document
from training.questions import Question
from training.retrieval import Definitions

GRAPH = Document(
    "net",
    "net/graph.py",
    "held-out",
    "class Graph:\n    def add(self, node):\n        self.nodes[node] = {}\n",
)
VIEWS = Document("net", "net/views.py", "held-out", "def show(graph):\n    print(graph)\n")
PREFIX = "from net.graph import Graph\n\n\ndef build():\n    "


def question(truth: str) -> Question:
    return Question("whole line", "net", "net/use.py", PREFIX, truth, "\n")


def test_lines_that_use_another_files_names_are_told_from_others() -> None:
    definitions = Definitions([GRAPH, VIEWS])
    assert definitions.is_foreign(question("g = Graph()"))
    assert not definitions.is_foreign(question("return build()"))
    assert not definitions.is_foreign(question("show(g)")), "never imported, so nobody could know"


def test_excerpts_show_the_imported_definitions_and_never_the_file_itself() -> None:
    definitions = Definitions([GRAPH, VIEWS])
    assert definitions.excerpts(question("g = Graph()")) == [("net/graph.py", GRAPH.text)]
    own = Question("whole line", "net", "net/graph.py", PREFIX, "g = Graph()", "\n")
    assert definitions.excerpts(own) == []
