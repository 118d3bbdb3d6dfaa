"""Everything public of the family, one line each: methods, problems, preconditioners, tools."""

from resolvent.linear.bicgstab import BiCGStab as BiCGStab
from resolvent.linear.cg import CG as CG
from resolvent.linear.chebyshev import Chebyshev as Chebyshev
from resolvent.linear.gcrodr import GCRODR as GCRODR
from resolvent.linear.gmres import GMRES as GMRES
from resolvent.linear.incomplete import IncompleteCholesky as IncompleteCholesky
from resolvent.linear.incomplete import IncompleteLU as IncompleteLU
from resolvent.linear.kaczmarz import Kaczmarz as Kaczmarz
from resolvent.linear.minres import MINRES as MINRES
from resolvent.linear.multigrid import AlgebraicMultigrid as AlgebraicMultigrid
from resolvent.linear.preconditioners import FunctionPreconditioner as FunctionPreconditioner
from resolvent.linear.preconditioners import JacobiPreconditioner as JacobiPreconditioner
from resolvent.linear.preconditioners import Preconditioner as Preconditioner
from resolvent.linear.preconditioners import SSORPreconditioner as SSORPreconditioner
from resolvent.linear.problem import LinearSystem as LinearSystem
from resolvent.linear.projection import Projected as Projected
from resolvent.linear.relaxation import SOR as SOR
from resolvent.linear.relaxation import SSOR as SSOR
from resolvent.linear.relaxation import GaussSeidel as GaussSeidel
from resolvent.linear.relaxation import Jacobi as Jacobi
from resolvent.linear.relaxation import SymmetricGaussSeidel as SymmetricGaussSeidel
from resolvent.linear.sorting import sort_greedy as sort_greedy
from resolvent.linear.sorting import sort_grouped as sort_grouped
from resolvent.linear.sorting import split_pieces as split_pieces
