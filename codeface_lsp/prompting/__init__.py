"""Prompt templates, fill-in-the-middle forms and chat formats, per model family."""
