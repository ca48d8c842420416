"""python loaders.py runs code that loads data sets, and prints what was loaded. Each line of standard input is
{"dir": the working directory, "code": Python that leaves the rows in the variable data}. For each it prints a line:
{"columns": {name: type}, "rows": [{name: value}]}, or {"error": text}. A time is {"time": milliseconds since 1970, UTC},
and what JSON does not have is {"python": text}. Code of one process shares the modules that it imports."""

import datetime
import json
import math
import os
import sys
import traceback


def plain(value):
    """Returns a value as JSON has it."""
    kind = type(value).__name__
    if value is None or kind in ("NAType", "NaTType"):
        return None
    if hasattr(value, "item") and hasattr(value, "dtype") and getattr(value, "ndim", 0) == 0:
        value = value.item()
    if isinstance(value, (bool, str, int)):
        return value
    if isinstance(value, float) and math.isfinite(value):
        return value
    if isinstance(value, datetime.datetime):
        value = value if value.tzinfo else value.replace(tzinfo=datetime.timezone.utc)
        return {"time": round(value.timestamp() * 1000)}
    if isinstance(value, dict):
        return {name: plain(member) for name, member in value.items()}
    if isinstance(value, (list, tuple)) or hasattr(value, "tolist"):
        return [plain(element) for element in value]
    return {"python": f"{kind} {value!r}"}


def rows_of(data):
    """Returns the types of the columns and the rows of what a reader has loaded."""
    kind = type(data).__module__.split(".")[0], type(data).__name__
    if kind == ("pandas", "DataFrame"):
        return dict(data.dtypes), data.to_dict("records")
    if kind == ("polars", "DataFrame"):
        return dict(data.schema), data.to_dicts()
    if kind == ("pyarrow", "Table"):
        return {field.name: field.type for field in data.schema}, data.to_pylist()
    if kind == ("datasets", "Dataset"):
        return dict(data.features), list(data)
    if kind == ("datasets", "DatasetDict"):
        splits = list(data.values())
        return dict(splits[0].features), [row for split in splits for row in split]
    return dict(zip(data.columns, data.types)), [dict(zip(data.columns, row)) for row in data.fetchall()]


for line in sys.stdin:
    task = json.loads(line)
    os.chdir(task["dir"])
    try:
        names = {}
        exec(task["code"], names)
        columns, rows = rows_of(names["data"])
        answer = {"columns": {name: str(kind) for name, kind in columns.items()}, "rows": plain(rows)}
    except Exception:
        answer = {"error": traceback.format_exc()}
    print(json.dumps(answer), flush=True)
