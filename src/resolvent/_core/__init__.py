"""What every family stands on: the front door, the driver and the values they pass around.

Nothing in this package knows a family; families import it, never the reverse.
"""
