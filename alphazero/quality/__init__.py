"""Does a faster configuration train as good an agent? Trainings side by side, and a test that says so."""
