"""CodeFace: a code assistant for any editor, from models that run on your own machine."""
