"""Edits by a model: fix, docstring, tests, refactor, simplify, complete a stub."""

from codeface_lsp.assist.edits.jobs import EditJobs
from codeface_lsp.assist.edits.proposal import Proposal
from codeface_lsp.assist.edits.tasks import TITLES, EditRequest, Problemed, TaskName

__all__ = ["TITLES", "EditJobs", "EditRequest", "Problemed", "Proposal", "TaskName"]
