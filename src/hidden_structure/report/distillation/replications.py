"""What one replication of distillation is: a teacher with its own students, or a student.

Students of different teachers share neither initial weights nor batches. So of three teachers or more each, with the
mean over its students, is one replication, and intervals say what other teachers and students would give. One or two
teachers say nothing of others: then each student is one, and intervals say what other students of these teachers would
give. Of one teacher and one seed all methods' students are paired.
"""

from collections.abc import Callable, Mapping, Sequence
from statistics import fmean

TEACHERS_FROM = 3  # teachers that are replications: an interval over two reaches twelve times the standard error


def by_teacher(students: Sequence[Mapping]) -> bool:
    """Whether a replication is a teacher. Tables of studies with one teacher did not name it."""
    return len({row.get("teacher") for row in students}) >= TEACHERS_FROM


def of_method(students: Sequence[Mapping], quantity: Callable[[Mapping], float]) -> dict[str, list[float]]:
    """Method -> quantity(row) of each replication, in the order of `names`."""
    return {method: [fmean(map(quantity, rows)) for rows in groups.values()] for method, groups in _grouped(students)}


def names(students: Sequence[Mapping]) -> tuple[str, ...]:
    """Of the replications: "0" of a teacher, "0-1" of student 1 of teacher 0, "1" of one of a teacher not named."""
    _, groups = next(iter(_grouped(students)))
    return tuple("-".join(str(part) for part in key if part is not None) for key in groups)


def unit(students: Sequence[Mapping]) -> str:
    """In words."""
    teachers, methods = ({row.get(name) for row in students} for name in ("teacher", "method"))
    if by_teacher(students):
        each = len(students) // len(teachers) // len(methods)
        return "one replication is a teacher, " + (f"its {each} students averaged" if each > 1 else "with one student")
    known = "this teacher" if len(teachers) == 1 else "these two teachers"
    return (
        f"one replication is a student, so they say how others of {known} would scatter, and nothing of other teachers"
    )


def _grouped(students: Sequence[Mapping]) -> list[tuple[str, dict[tuple, list[Mapping]]]]:
    """Method, replication -> its rows."""
    whole = by_teacher(students)
    found: dict[str, dict[tuple, list[Mapping]]] = {}
    for row in sorted(students, key=lambda row: (row.get("teacher") or 0, row["seed"])):
        key = (row["teacher"],) if whole else (row.get("teacher"), row["seed"])
        found.setdefault(row["method"], {}).setdefault(key, []).append(row)
    return list(found.items())
