"""Ten questions to the running laptop stack, by the command a user types. `python -m tests.acceptance.ten_questions`"""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

_QUESTIONS = Path(__file__).with_name("questions.jsonl")
_TEAL = Path(sys.executable).with_name("teal")


def main() -> int:
    """Ask all; 0 when each answer cites the page that holds it, and the one that nothing answers is admitted."""
    wrong = 0
    for line in _QUESTIONS.read_text(encoding="utf-8").splitlines():
        asked = json.loads(line)
        done = subprocess.run(
            [_TEAL, "ask", "--json", asked["question"]], capture_output=True, text=True, timeout=60, check=False
        )
        if done.returncode:
            print(f"FAILED  {asked['question']}: {done.stdout}{done.stderr}")
            wrong += 1
            continue
        answer = json.loads(done.stdout.splitlines()[-1])
        sources = [citation.get("source") or "" for citation in answer["citations"]]
        if asked["source"] is None:
            good = not answer["grounded"] and not sources
        else:
            good = answer["grounded"] and any(asked["source"] in source for source in sources)
        wrong += not good
        print(f"{'ok     ' if good else 'WRONG  '} {asked['question']}\n        {answer['answer'][:200]}\n        {sources}")
    print(f"{10 - wrong} passed, {wrong} failed")
    return int(wrong > 0)


if __name__ == "__main__":
    sys.exit(main())
