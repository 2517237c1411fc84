"""A section of params.yaml, and what a stage declares that reads only some keys of one."""

from typing import Any, ClassVar

from pydantic import BaseModel, ConfigDict, create_model


class Section(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, strict=True, allow_inf_nan=False)


class Cut(Section):
    """Some keys of a section."""

    section: ClassVar[type[Section]]

    def __reduce__(self) -> tuple:  # which class of this name it is pickle cannot find by the name
        return _cut_again, (self.section, dict(self))


def only(section: type[Section], *names: str) -> type[Cut]:
    """The section cut down to these keys: what a stage declares that reads nothing else of it."""
    fields = {name: (section.__annotations__[name], section.model_fields[name]) for name in names}
    cut = create_model(section.__name__, __base__=Cut, **fields)
    cut.section = section
    return cut


def _cut_again(section: type[Section], values: dict[str, Any]) -> Cut:
    return only(section, *values).model_construct(**values)
