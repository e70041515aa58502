"""What the tests in real editors need on the machine, and how it gets there."""
