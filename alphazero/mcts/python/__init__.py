"""The reference tree backend, in plain Python: what the compiled ones have to agree with."""
