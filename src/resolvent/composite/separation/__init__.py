"""Methods that find a plane between two classes."""
