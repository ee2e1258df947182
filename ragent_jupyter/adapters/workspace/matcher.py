"""The process that tries a regular expression on texts: `python -I -S matcher.py`. Standard library only.

Python's expressions can take for ever on a hostile pattern, and nothing can interrupt one inside a thread. Here the
asking side ends the whole process. It opens no file: the texts come by its standard input.

In: one JSON line {"pattern"}, then per batch a JSON line [[key, length in bytes], …] followed by those bytes (UTF-8).
Out: per batch one JSON line [[key, line number from 1, text], …]; for a bad pattern {"problem"}, and the end.
"""

import json
import re
import resource
import sys

LONGEST_LINE = 2_000
MOST_IN_ONE = 200


def find(pattern: "re.Pattern[str]", text: str) -> "list[tuple[int, str]]":
    found = []
    for number, line in enumerate(text.split("\n"), 1):
        match = pattern.search(line)
        if match:
            # Of a very long line what surrounds the match.
            start = max(0, match.start() - 200) if len(line) > LONGEST_LINE else 0
            found.append((number, line[start : start + LONGEST_LINE].rstrip("\r")))
            if len(found) >= MOST_IN_ONE:
                break
    return found


def main() -> None:
    for kind, most in ((resource.RLIMIT_CPU, 60), (resource.RLIMIT_CORE, 0)):
        resource.setrlimit(kind, (most, most))
    asked, answer = sys.stdin.buffer, sys.stdout
    try:
        pattern = re.compile(json.loads(asked.readline())["pattern"])
    except (re.error, OverflowError, RecursionError) as error:
        print(json.dumps({"problem": str(error) or type(error).__name__}), flush=True)
        return
    print("{}", flush=True)
    while True:
        head = asked.readline()
        if not head:
            return
        hits = []
        for key, length in json.loads(head):
            text = asked.read(length).decode("utf-8", "replace")
            hits += [(key, number, line) for number, line in find(pattern, text)]
        print(json.dumps(hits), file=answer, flush=True)


if __name__ == "__main__":
    main()
