"""How raw samples become a network's inputs. It is saved with the network, so that new samples are treated the same."""

import dataclasses
from collections.abc import Sequence
from typing import Any, cast

import numpy as np
from numpy.typing import NDArray

from jaxmlp.checks import Floats, InputError
from jaxmlp.showing import fields, shown

__all__ = ["Preparation", "preparation_of"]


@shown(fields)
@dataclasses.dataclass(frozen=True, eq=False)
class Preparation:
    """``(x - mean) / scale``, column by column, and the columns' names.

    Attributes:
        mean: of the training rows, ``[n_in]``, float64; of the lecture's digits: of all rows.
        scale: their standard deviation (population), ``[n_in]``, float64; 0 for a constant column, whose
            inputs are zeros in any row.
        columns: names of the inputs in their sequence, ``n_in`` of them; None where they have none.
        target: the name of the column with the labels; None where it has none.
    """

    mean: NDArray[np.float64]
    scale: NDArray[np.float64]
    columns: tuple[str, ...] | None = None
    target: str | None = None

    def inputs(self, x: Floats) -> NDArray[np.float64]:
        """The network's inputs from raw samples ``x [..., n_in]``: float64, the same shape.

        Raises:
            InputError: another number of columns.
        """
        if x.shape[-1:] != self.mean.shape:
            raise InputError(f"samples have {x.shape[-1]} columns, expected {len(self.mean)}")
        centred = np.asarray(x, np.float64) - self.mean
        return np.divide(centred, self.scale, out=np.zeros_like(centred), where=self.scale > 0)

    def places(self, names: Sequence[str] | None, n: int) -> list[int]:
        """The places of the inputs among a table's ``n`` columns, by ``names``; in sequence if there are no names.

        Raises:
            InputError: a column is missing, or the number of columns is wrong.
        """
        if names is not None and self.columns is not None:
            place = {name: number for number, name in enumerate(names)}
            if missing := [name for name in self.columns if name not in place]:
                more = f" and {len(missing) - 1:,} more" if len(missing) > 1 else ""
                raise InputError(
                    f"there is no column {missing[0]!r}{more}, expected those that the network learned from"
                )
            return [place[name] for name in self.columns]
        if n != len(self.mean):
            raise InputError(f"the data has {n:,} columns, expected {len(self.mean):,}, as the network has inputs")
        return list(range(n))

    def to_json(self) -> dict[str, Any]:
        """The preparation in types that JSON has, without loss."""
        columns = None if self.columns is None else list(self.columns)
        return {"mean": self.mean.tolist(), "scale": self.scale.tolist(), "columns": columns, "target": self.target}


def preparation_of(found: Any, n_in: int) -> Preparation:
    """Read a Preparation of ``n_in`` inputs from `Preparation.to_json`; raises InputError for anything else."""
    if not isinstance(found, dict) or set(cast(Any, found)) != {"mean", "scale", "columns", "target"}:
        raise InputError("its preparation has other entries than expected")
    kept: dict[str, Any] = found
    for name, kind in (("mean", float), ("scale", float), ("columns", str)):
        values: Any = kept[name]
        if name == "columns" and values is None:
            continue
        if not isinstance(values, list) or len(values) != n_in or not all(type(value) is kind for value in values):
            raise InputError(f"its preparation's {name} are not one for each of {n_in:,} inputs")
    mean, scale = (np.array(kept[name], np.float64) for name in ("mean", "scale"))
    if not (np.all(np.isfinite(mean)) and np.all(np.isfinite(scale)) and np.all(scale >= 0)):
        raise InputError("its preparation's mean and scale are not finite numbers, scale 0 or more")
    columns = None if kept["columns"] is None else tuple(cast(list[str], kept["columns"]))
    if (columns is not None and len(set(columns)) < n_in) or not isinstance(kept["target"], (str, type(None))):
        raise InputError("its preparation's names are not different strings")
    return Preparation(mean, scale, columns, kept["target"])
