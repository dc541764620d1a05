"""Counts the tests of one `meson test` run and shows the logs of those that failed.

    summary.py TITLE testlog.json RESULTS

appends a line "passed|failed|skipped TITLE: NAME" to RESULTS for each test: a program that tells its
parts (TAP, or Python's unittest) counts by part. A program that failed counts at least one failure,
whatever its parts say.
"""

import json
import re
import sys

LOG_CHARACTERS = 6000
WORDS = {"ok": "passed", "not ok": "failed", "OK": "passed", "FAIL": "failed", "ERROR": "failed",
         "skipped": "skipped", "SKIP": "skipped", "EXPECTEDFAIL": "passed"}


def parts(test):
    """(verdict, name) of every part that the test told."""
    found = []
    for word, skip, name in re.findall(r"(?m)^(ok|not ok) \d+(?: # (SKIP))?[ -]*(.*)$",
                                       test.get("stdout", "")):
        found.append(("skipped" if skip else WORDS[word], name))
    for line in re.findall(r"(?m)^.* \.\.\. (?:ok|FAIL|ERROR|skipped .*)$", test.get("stderr", "")):
        name, _, word = line.rpartition(" ... ")
        found.append((WORDS[word.split()[0]], name.strip()))
    return found


def bounded(text):
    text = text.strip()
    if len(text) <= LOG_CHARACTERS:
        return text
    half = LOG_CHARACTERS // 2
    return text[:half] + "\n  [...]\n" + text[-half:]


def report(test, name, verdict, told):
    count = f", {len(told)} tests" if told else ""
    about = f"{name} ({test['duration']:.1f} s{count})"
    if verdict != "failed":
        print(f"{'ok' if verdict == 'passed' else 'skip':7} {about}")
        return
    print(f"FAILED  {about}: {test['result']}")
    for stream in ("stdout", "stderr"):
        if test.get(stream):
            print(bounded(re.sub(r"(?m)^ok \d.*\n", "", test[stream])))


def main():
    title, log, results = sys.argv[1:]
    with open(log, encoding="utf-8", errors="replace") as file:
        tests = [json.loads(line) for line in file if line.strip()]
    with open(results, "a", encoding="utf-8") as out:
        if not tests:
            print(f"failed {title}: nothing ran", file=out)
        for test in tests:
            name = test["name"].split(" / ")[-1]
            verdict = WORDS.get(test["result"], "failed")
            told = parts(test)
            report(test, name, verdict, told)
            for part, what in told:
                print(f"{part} {title}: {name}: {what}", file=out)
            if not told or (verdict == "failed" and
                            not any(part == "failed" for part, _ in told)):
                print(f"{verdict} {title}: {name} ({test['result']})", file=out)


if __name__ == "__main__":
    main()
