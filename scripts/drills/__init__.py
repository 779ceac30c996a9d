"""What scripts/drill.py breaks, and how it sees that nothing is lost."""
