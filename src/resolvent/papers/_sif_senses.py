"""Inequalities of the package that mean something else than g(x) >= 0, as it says of all of them.

Where an input file of the set has an upper limit, g(x) <= 0, the package often has the values as
the file writes them; where a file has both limits, 0 <= g(x) <= width, it has the lower one alone.
These are all such problems of up to 200 unknowns, found by comparison of the package's values with
limits and types of rows in the files.
"""

EVERY = slice(None)

AT_MOST = {
    "BATCH": [60],
    "BURKEHAN": EVERY,
    "CANTILVR": EVERY,
    "CHACONN1": EVERY,
    "CHACONN2": EVERY,
    "CSFI1": [0],
    "CSFI2": [0],
    "DEMBO7": list(range(1, 20)),
    "DEMYMALO": EVERY,
    "DIPIGRI": EVERY,
    "DUALC1": [212],
    "DUALC2": [226],
    "DUALC8": [72, 131],
    "ELATTAR": EVERY,
    "GOFFIN": EVERY,
    "HAIFAM": EVERY,
    "HAIFAS": EVERY,
    "HS64": EVERY,
    "HS76": [0, 1],
    "HS76I": [0, 1],
    "HS93": [1],
    "HS101": EVERY,
    "HS102": EVERY,
    "HS103": EVERY,
    "HS104": [0, 1, 2, 3],
    "HS108": [*range(9), 12],
    "LSQFIT": EVERY,
    "MAKELA1": EVERY,
    "MAKELA2": EVERY,
    "MAKELA3": EVERY,
    "MAKELA4": EVERY,
    "MATRIX2": [1],
    "MINMAXBD": EVERY,
    "OPTPRLOC": [*range(27), 28],
    "PENTAGON": EVERY,
    "POLAK1": EVERY,
    "POLAK2": EVERY,
    "POLAK3": EVERY,
    "POLAK4": EVERY,
    "POLAK5": EVERY,
    "POLAK6": EVERY,
    "TENBARS1": EVERY,
    "TRO3X3": EVERY,
    "TRO4X4": EVERY,
    "TRO5X5": EVERY,
    "TRO6X2": EVERY,
    "TRO11X3": EVERY,
    "ZECEVIC2": EVERY,
    "ZECEVIC3": EVERY,
    "ZECEVIC4": EVERY,
}
"""Rows that are to be at most 0."""

WIDTHS = {
    "BIGGSC4": (range(6), 5.0),
    "CSFI1": ([1], 50.0),
    "CSFI2": ([1], 50.0),
    "DEGENQP": (EVERY, 2.0),
    "DEGENQPC": (EVERY, 2.0),
    "DEMBO7": ([0], 200.0),
    "HATFLDH": (range(6), 5.0),
    "HS83": (range(3), [92.0, 20.0, 5.0]),
    "HS104": ([4], 3.2),
    "HS116": ([3], 200.0),
}
"""Rows that are to be at most something else too, and what."""
