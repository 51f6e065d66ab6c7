"""The laptop stack: real parts under supervisor, everything inside one `.teal/` folder, on loopback only."""
