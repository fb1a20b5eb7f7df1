# SPDX-License-Identifier: Apache-2.0
"""Medians, ratios of interleaved rounds, verdicts, and the report as Markdown."""
from statistics import median

from .cells import METRICS


def values(found, contestant, metric):
    """{round: value} of a contestant."""
    runs = found.get(contestant, {}).get("runs", [])
    return {r["round"]: r["values"][metric] for r in runs if r["values"].get(metric) is not None}


def middle(found, contestant, metric):
    v = values(found, contestant, metric)
    return median(v.values()) if v else None


def _spread(numbers):
    return {"median": median(numbers), "min": min(numbers), "max": max(numbers)}


def _against(found, target, reference):
    """The ratios (or differences) of the rounds that both have."""
    mine = values(found, target.subject, target.metric)
    theirs = values(found, reference, target.metric)
    rounds = sorted(set(mine) & set(theirs))
    if target.how == "added":
        return [mine[r] - theirs[r] for r in rounds]
    return [mine[r] / theirs[r] for r in rounds if theirs[r] > 0]


def verdicts(cell, found):
    """One line for each decision that the cell's targets ask for."""
    lines = []
    for target in cell.targets:
        unit = METRICS[target.metric][0]
        known = [(middle(found, c, target.metric), c) for c in target.against]
        known = sorted(k for k in known if k[0] is not None)
        if target.how in ("best", "added"):
            known = known[:1]
        references = [c for _, c in known] if target.how != "absolute" else [None]
        for reference in references or [" or ".join(target.against)]:
            line = {"cell": cell.name, "subject": target.subject, "metric": unit,
                    "how": target.how, "limit": target.limit, "reference": reference,
                    "value": middle(found, target.subject, target.metric), "reached": None}
            if reference:
                line["reference_value"] = middle(found, reference, target.metric)
                numbers = _against(found, target, reference)
            else:
                numbers = list(values(found, target.subject, target.metric).values())
            if numbers:
                line["result"] = _spread(numbers)
                line["reached"] = line["result"]["median"] <= target.limit
            lines.append(line)
    return lines


def number(x):
    if x is None:
        return "–"
    if x == 0:
        return "0"
    size = abs(x)
    if size >= 1000:
        return f"{x:,.0f}"
    return f"{x:.0f}" if size >= 100 else f"{x:.1f}" if size >= 10 else f"{x:.3g}"


def _table(head, rows):
    out = ["| " + " | ".join(head) + " |", "|" + "---|" * len(head)]
    return out + ["| " + " | ".join(row) + " |" for row in rows]


def _verdict_row(line):
    result = line.get("result")
    if result:
        text = f"{number(result['median'])} ({number(result['min'])}–{number(result['max'])})"
    else:
        text = "not measured"
    kind = {"added": "added to ", "absolute": ""}.get(line["how"], "")
    against = f"{kind}{line['reference'] or '(absolute)'}"
    mark = {True: "reached", False: "**missed**", None: "–"}[line["reached"]]
    return [line["cell"], line["subject"], line["metric"], number(line["value"]), against,
            number(line.get("reference_value")), text, f"≤ {line['limit']:g}", mark]


def cell_markdown(cell, found):
    head = ["contestant"] + [METRICS[m][0] for m in cell.metrics]
    rows = []
    for contestant in cell.contestants:
        row = [contestant]
        for i, metric in enumerate(cell.metrics):
            v = list(values(found, contestant, metric).values())
            if not v:
                row.append("–")
            elif i < 3 and len(v) > 1:
                row.append(f"{number(median(v))} ({number(min(v))}–{number(max(v))})")
            else:
                row.append(number(max(v) if metric == "errors" else median(v)))
        rows.append(row)
    out = [f"### {cell.name}: {cell.title}", "", *_table(head, rows), ""]
    for contestant in cell.contestants:
        for problem in dict.fromkeys(found[contestant]["problems"]):
            out.append(f"- {contestant}: {' '.join(problem.split())[:300]}")
    return out + [""] if out[-1] else out


def markdown(environment, cells, results):
    lines = ["# End-to-end benchmark", "", f"Command: `{environment['command']}`", ""]
    lines += [f"- {k}: {v}" for k, v in environment.items() if k not in ("command", "versions")]
    lines += [f"- {k}: {v}" for k, v in environment["versions"].items()]
    lines += ["", "Values are medians of the rounds, with min–max in brackets. A ratio is the median "
              "of the rounds' own ratios.", "", "## Targets", ""]
    rows = [_verdict_row(v) for c in cells if c.name in results for v in verdicts(c, results[c.name])]
    lines += _table(["cell", "contestant", "metric", "value", "against", "its value",
                     "ratio (or amount)", "target", ""], rows)
    lines += ["", "## Cells", ""]
    for cell in cells:
        if cell.name in results:
            lines += cell_markdown(cell, results[cell.name])
    return "\n".join(lines).rstrip() + "\n"
