"""`legato data SOURCE`."""

from __future__ import annotations

from typing import Annotated, Any

from cyclopts import Parameter

from legato.commands.application import FLAG, FLAT, application
from legato.commands.options import Json
from legato.commands.output import say, write_figures
from legato.data import DataOptions, describe, open_source, purge
from legato.data.roles import Roles, some
from legato.data.sources import EXPECTED
from legato.errors import Mistake

app = application("data")


@app.default
def data(
    source: str | None = None,
    *,
    options: Annotated[DataOptions, FLAT] = DataOptions(),  # noqa: B008  (frozen)
    json: Json = None,
    purge_store: Annotated[bool, Parameter(name="--purge"), FLAG] = False,
) -> None:
    """The contents of a source: count, shape, range, labels, problems, splits, the likelihood that fits.

    SOURCE is `mnist`, `factors` (shapes that Legato draws, their factors known), a folder of images, an .npy or .npz file, IDX
    (gzipped or not), Parquet, Feather, CSV, tar shards (WebDataset) or hub:NAME (Hugging Face). --purge empties the store of
    decoded data.
    """
    # First: an empty store needs no source, and a source that cannot be read must not stand in the way.
    if purge_store:
        entries, size = purge()
        print(f"the store is empty: {entries} entries, {size:,} bytes removed")
        return
    if source is None:
        raise Mistake(f"say which SOURCE to describe: {EXPECTED} (or --purge)")
    opened = open_source(source, options)
    found = describe(opened)
    if json is not None:
        write_figures(found, json)
    if json is None or str(json) != "-":  # with `--json -` stdout is JSON alone
        _show(found, opened.roles)


def _show(found: dict[str, Any], roles: Roles | None) -> None:
    store = found["store"]
    lines = {
        "source": found["source"],
        "count": f"{found['count']:,}",
        "shape": " × ".join(map(str, found["shape"])) + f" ({found['dtype']})",
        "range": f"{found['range'][0]:g} … {found['range'][1]:g}{' (not looked for)' if found['streamed'] else ''}",
        **(roles.lines() if roles else {}),
        "splits": ", ".join(f"{name} {n:,}" for name, n in found["splits"].items()),
        "labels": some([f"{name or 'none'} {n:,}" for name, n in (found["labels"] or {}).items()]) or "none",
        "likelihood": f"{found['likelihood']}: {found['why']}",
        "problems": some([f"{p['id']} ({p['reason']})" for p in found["problems"]]) or "none",
        "store": f"{store['path']} ({store['bytes']:,} bytes)" if store else "read in place",
        **({"streamed": "pictures are decoded where they lie, as they are needed"} if found["streamed"] else {}),
    }
    for name, value in lines.items():
        say(f"{name:<11} {value}")
    for note in found["notes"]:
        say(f"{'note':<11} {note}")
