"""Measuring completions on real repositories: holes, scores, and how often the context holds what is needed."""
