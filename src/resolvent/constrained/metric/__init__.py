"""Problems over metrics, and over polyhedra of which not every row is written down."""
