"""Everything public of the family, one line each: methods, problems, preconditioners, tools."""

from resolvent.linear.cg import CG as CG
from resolvent.linear.preconditioners import FunctionPreconditioner as FunctionPreconditioner
from resolvent.linear.preconditioners import JacobiPreconditioner as JacobiPreconditioner
from resolvent.linear.preconditioners import Preconditioner as Preconditioner
from resolvent.linear.problem import LinearSystem as LinearSystem
