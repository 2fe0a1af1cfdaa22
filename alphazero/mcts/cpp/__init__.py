"""The tree backend in C++20: headers without Python, and a thin wrapper."""
