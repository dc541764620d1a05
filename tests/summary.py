"""Counts the tests of one `meson test` run and shows the logs of those that failed.

    summary.py TITLE testlog.json RESULTS

appends a line "passed|failed|skipped TITLE: NAME" to RESULTS for each test.
"""

import json
import sys

GOOD = ("OK", "EXPECTEDFAIL")
LOG_CHARACTERS = 6000


def bounded(text):
    text = text.strip()
    if len(text) <= LOG_CHARACTERS:
        return text
    half = LOG_CHARACTERS // 2
    return text[:half] + "\n  [...]\n" + text[-half:]


def main():
    title, log, results = sys.argv[1:]
    with open(log, encoding="utf-8", errors="replace") as file:
        tests = [json.loads(line) for line in file if line.strip()]
    with open(results, "a", encoding="utf-8") as out:
        if not tests:
            print(f"failed {title}: nothing ran", file=out)
        for test in tests:
            name = test["name"].split(" / ")[-1]
            if test["result"] in GOOD:
                verdict = "passed"
            elif test["result"] == "SKIP":
                verdict = "skipped"
            else:
                verdict = "failed"
            print(f"{verdict} {title}: {name}", file=out)
            if verdict == "failed":
                print(f"FAILED  {name}: {test['result']} after {test['duration']:.1f} s")
                for stream in ("stdout", "stderr"):
                    if test.get(stream):
                        print(bounded(test[stream]))
            else:
                print(f"{'ok' if verdict == 'passed' else 'skip':7} {name}"
                      f" ({test['duration']:.1f} s)")


if __name__ == "__main__":
    main()
