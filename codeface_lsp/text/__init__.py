"""Text as editors see it: snapshots, positions in three encodings, edits, diffs. A leaf."""
