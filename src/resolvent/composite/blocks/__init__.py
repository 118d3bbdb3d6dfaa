"""The parts of block coordinate descent: partitions, forests, rules of selection, updates."""
