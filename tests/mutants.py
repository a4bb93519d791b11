"""How many careless edits the tests notice: ``python -m tests.mutants --sample 300 --seed 0 [PATH ...]``.

Tries a random sample of the mutants of these modules (without any: of those that decide a result) one at a time, in
copies of this checkout, which stays as it is. Each runs the test files that execute its line, until one fails. A
mutant that none notices is shown: a test is missing, or the mutant changes nothing and stands with the reason in
``tests/data/equivalent-mutants.toml``. Settings: ``[tool.mutants]`` in ``pyproject.toml``. Needs the extra ``dev``.
"""

import argparse
import ast
import collections
import concurrent.futures
import hashlib
import itertools
import json
import os
import queue
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import tomllib
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple, TypeVar

from tqdm import tqdm

from tests import mutation
from tests.mutation import Mutant
from tests.sandbox import Sandbox, SetupError

ROOT = Path(__file__).parent.parent
EQUIVALENT = "tests/data/equivalent-mutants.toml"
CAUGHT = ("failed", "time-out")
SLOWER, SPARE = 3, 30
"""A mutant may take so many times as long as the code as it is, and so many seconds more."""

Item = TypeVar("Item")
Result = TypeVar("Result")


class Seen(NamedTuple):
    """How long each test file takes by itself, and which of them run each line of each source."""

    seconds: dict[str, float]
    lines: dict[str, dict[str, list[str]]]

    def tests(self, root: Path, mutant: Mutant) -> list[str]:
        """The test files that run its line: first those with its module's name, then the quick.

        Of a line that every file runs, as it runs on import, those that run something else of the module too.
        """
        path, found = mutant.place.path, self.lines.get(mutant.place.path, {})
        lines = mutation.header(ast.parse((root / path).read_text(encoding="utf-8")), mutant.place.line)
        tests = {test for line in lines for test in found.get(str(line), [])}
        everywhere = {test for ran in found.values() for test in ran}
        if tests == everywhere:
            tests = {test for ran in found.values() if set(ran) != everywhere for test in ran} or everywhere
        return sorted(tests, key=lambda test: (-len(_words(path) & _words(test)), self.seconds[test], test))


def _words(path: str) -> set[str]:
    return set(re.split("[_/.]", path)) - {"jaxmlp", "experiments", "tests", "test", "py"}


def side_by_side(
    boxes: Sequence[Sandbox], work: Callable[[Sandbox, Item], Result], items: Sequence[Item]
) -> Iterator[tuple[Item, Result]]:
    """What ``work`` makes of each item in one of the boxes, as they are done; on an error all that runs ends."""
    free: queue.SimpleQueue[Sandbox] = queue.SimpleQueue()
    for box in boxes:
        free.put(box)

    def one(item: Item) -> Result:
        box = free.get()
        try:
            return work(box, item)
        finally:
            free.put(box)

    with concurrent.futures.ThreadPoolExecutor(len(boxes)) as executor:
        try:
            futures = {executor.submit(one, item): item for item in items}
            for future in concurrent.futures.as_completed(futures):
                yield futures[future], future.result()
        except BaseException:
            for box in boxes:
                box.close()
            executor.shutdown(cancel_futures=True)
            raise


def look(boxes: Sequence[Sandbox], tests: Sequence[str], packages: Sequence[str]) -> Seen:
    """Run every test file by itself on the code as it is."""
    seconds: dict[str, float] = {}
    lines: dict[str, dict[str, list[str]]] = collections.defaultdict(lambda: collections.defaultdict(list))
    found = side_by_side(boxes, lambda box, test: box.watch(test, packages), tests)
    for test, (spent, files) in tqdm(found, "test files", len(tests)):
        seconds[test] = spent
        for file, line in ((file, line) for file, ran in files.items() for line in ran):
            lines[file][str(line)].append(test)
    return Seen(seconds, lines)


def read_equivalent(path: Path) -> dict[tuple[str, str, str], str]:
    """The reason why a mutant changes nothing, by file, the line's text and the text in its place."""
    entries = tomllib.loads(path.read_text(encoding="utf-8")).get("mutant", [])
    return {(entry["file"], entry["line"], entry["becomes"]): entry["reason"] for entry in entries}


def write_json(path: Path, content: Any) -> None:
    """The file is the old one or the whole new one, whenever this is stopped."""
    with tempfile.NamedTemporaryFile("w", dir=path.parent, prefix=path.name, delete=False, encoding="utf-8") as file:
        json.dump(content, file, indent=1)
    os.replace(file.name, path)


def report(results: Sequence[Mapping[str, Any]]) -> tuple[str, float]:
    """A table by module, then each mutant that nothing noticed; and the share that was caught, in percent."""
    tried, caught, text = Counter[str](), Counter[str](), list[str]()
    for result in results:
        counted = result["outcome"] != "equivalent"
        tried[result["file"]] += counted
        caught[result["file"]] += result["outcome"] in CAUGHT
        if result["outcome"] not in CAUGHT:
            reason = f": {result['reason']}" if result["reason"] else ""
            text.append(f"{result['file']}:{result['line']} {result['outcome']}{reason}\n{result['diff']}")
    rate = 100 * caught.total() / tried.total() if tried.total() else 100.0
    rows = [(file, caught[file], tried[file]) for file in sorted(tried) if tried[file]]
    table = [f"{file:40} {n:4} / {of:4} {100 * n / of:6.1f} %" for file, n, of in rows]
    table.append(f"{'caught':40} {caught.total():4} / {tried.total():4} {rate:6.1f} %")
    return "\n".join([*text, *table]), rate


def arguments(words: Sequence[str] | None, areas: Mapping[str, Any]) -> argparse.Namespace:
    """What the command is asked for."""
    parser = argparse.ArgumentParser(prog="python -m tests.mutants", description=(__doc__ or "").split("\n")[0])
    parser.add_argument("paths", nargs="*", metavar="PATH", help="modules or folders, instead of areas")
    parser.add_argument(
        "--area", action="append", default=[], choices=sorted(areas), help="modules that belong together"
    )
    parser.add_argument("--sample", type=int, default=300, metavar="N", help="how many mutants (default 300)")
    parser.add_argument("--seed", type=int, default=0, help="which of them (default 0)")
    parser.add_argument("--workers", type=int, default=os.cpu_count(), metavar="N", help="default: one per core")
    parser.add_argument("--map", type=Path, metavar="FOLDER", help="keep there, and use again, what runs which line")
    parser.add_argument("--out", type=Path, metavar="FILE", help="write the results; go on where it stopped")
    parser.add_argument("--fail-under", type=float, default=0, metavar="PERCENT", help="exit 1 below this share")
    made = parser.parse_args(words)
    if made.sample < 1 or made.workers < 1:
        parser.exit(2, "sample and workers are at least 1\n")
    if made.out and not made.out.parent.is_dir():
        parser.exit(2, f"--out is {str(made.out)!r}, expected a file in a folder that is there\n")
    return made


def modules(files: Sequence[str], paths: Sequence[str]) -> list[str]:
    """The modules that these paths or patterns name; raises SetupError for one that names none."""
    chosen: set[str] = set()
    for path in paths:
        name = Path(os.path.relpath(path, ROOT) if os.path.isabs(path) else path)
        fits = [
            file
            for file in files
            if file.endswith(".py") and (Path(file).match(str(name)) or name in Path(file).parents)
        ]
        if not fits:
            raise SetupError(f"{path}: no module of this checkout")
        chosen.update(fits)
    return sorted(chosen)


def copy(place: Path) -> list[str]:
    """Everything of this checkout that git does not ignore, as it is now; and the names."""
    call = ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"]
    listed = subprocess.run(call, cwd=ROOT, capture_output=True, text=True, check=True).stdout.split("\0")
    files = sorted({file for file in listed if file and (ROOT / file).is_file()})
    for file in files:
        (place / file).parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(ROOT / file, place / file)
    return files


def state(root: Path, files: Sequence[str]) -> str:
    """What identifies this code, for results and maps of it."""
    code = hashlib.sha256(sys.version.encode())
    for file in files:
        if file.endswith(".py"):
            code.update(file.encode() + b"\0" + (root / file).read_bytes())
    return code.hexdigest()


def run(asked: argparse.Namespace, settings: Mapping[str, Any], place: Path) -> float:
    """Find, try and report; the share that was caught, in percent."""
    root, shared = place / "original", asked.map or place / "shared"
    files = copy(root)
    areas = [] if asked.paths else asked.area or settings["default"]
    sources = modules(files, asked.paths or [path for area in areas for path in settings["areas"][area]])
    tests = [
        file for file in files if re.fullmatch(r"tests/(\w+/)?test_\w+\.py", file) and file not in settings["not-tests"]
    ]
    code = state(root, files)
    known: dict[str, dict[str, Any]] = {}
    if asked.out and asked.out.exists():
        old = json.loads(asked.out.read_text(encoding="utf-8"))
        if old["code"] != code:
            raise SetupError(f"{asked.out} is of other code: expected a new file")
        known = old["mutants"]

    found = mutation.sample(root, mutation.places(root, sources, settings["exclude"]), asked.seed)
    chosen = list(tqdm(itertools.islice(found, asked.sample), "mutants", asked.sample))
    if not chosen:
        raise SetupError("there is nothing in these modules that could be edited so")
    (shared / "compiled").mkdir(parents=True, exist_ok=True)
    boxes = [Sandbox(place / str(number), root, shared.resolve()) for number in range(asked.workers)]
    kept = shared / "map.json"
    if kept.exists() and (content := json.loads(kept.read_text(encoding="utf-8")))["code"] == code:
        seen = Seen(content["seconds"], content["lines"])
    else:
        seen = look(boxes, tests, settings["packages"])
        write_json(kept, {"code": code, **seen._asdict()})

    equivalent = read_equivalent(root / EQUIVALENT)

    def attempt(box: Sandbox, mutant: Mutant) -> tuple[str, str]:
        if reason := equivalent.get((mutant.place.path, mutant.old, mutant.new)):
            return "equivalent", reason
        runs = seen.tests(root, mutant)
        limit = SLOWER * sum(seen.seconds[test] for test in runs) + SPARE
        return box.attempt(mutant, runs, limit), ""

    results = {mutant.key: known[mutant.key] for mutant in chosen if mutant.key in known}
    todo = [mutant for mutant in chosen if mutant.key not in results]
    with tqdm(total=len(chosen), initial=len(results)) as bar:
        for mutant, (outcome, reason) in side_by_side(boxes, attempt, todo):
            path, line = mutant.place[:2]
            result = {"file": path, "line": line, "outcome": outcome, "reason": reason, "diff": mutant.diff}
            results[mutant.key] = result
            counted = Counter(str(result["outcome"]) for result in results.values())
            bar.set_description(", ".join(f"{counted[name]} {name}" for name in sorted(counted)))
            bar.update()
            if asked.out:
                write_json(asked.out, {"code": code, "mutants": {**known, **results}})
    text, rate = report([results[mutant.key] for mutant in sorted(chosen)])
    print(text)
    return rate


def main(words: Sequence[str] | None = None) -> int:
    """The exit status: 0, 1 where too few were caught, 2 where nothing could be tried."""
    settings = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["tool"]["mutants"]
    asked = arguments(words, settings["areas"])
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    with tempfile.TemporaryDirectory(prefix="mutants-") as place:
        try:
            return int(run(asked, settings, Path(place)) < asked.fail_under)
        except SetupError as error:
            print(error, file=sys.stderr)
            return 2
        except KeyboardInterrupt:
            return 130


if __name__ == "__main__":
    sys.exit(main())
