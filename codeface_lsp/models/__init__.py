"""Model registry, loader, manager, memory and families."""
