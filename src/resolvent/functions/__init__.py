"""Terms of objectives and inclusions: sets and penalties, with projection, prox and conjugate."""

from resolvent.functions.function import ConvexSet as ConvexSet
from resolvent.functions.function import Function as Function
from resolvent.functions.penalties import L1 as L1
from resolvent.functions.penalties import SquaredL2 as SquaredL2
from resolvent.functions.product import Product as Product
from resolvent.functions.sets import Affine as Affine
from resolvent.functions.sets import Ball as Ball
from resolvent.functions.sets import Box as Box
from resolvent.functions.sets import Everything as Everything
from resolvent.functions.sets import HalfSpace as HalfSpace
from resolvent.functions.sets import L1Ball as L1Ball
from resolvent.functions.sets import Nonnegative as Nonnegative
from resolvent.functions.sets import Simplex as Simplex
from resolvent.functions.sets import simplex_projection as simplex_projection

__all__ = [
    "L1",
    "Affine",
    "Ball",
    "Box",
    "ConvexSet",
    "Everything",
    "Function",
    "HalfSpace",
    "L1Ball",
    "Nonnegative",
    "Product",
    "Simplex",
    "SquaredL2",
    "simplex_projection",
]  # fmt: skip
