"""Users that do only one harmful thing, to reproduce a fault: `teal load hot-key`, or
`locust -f loadtests/locustfile.py SlowReader -u 20`."""

from __future__ import annotations

from typing import Final

import gevent
from locust import between, constant, tag, task

from loadtests import calls, measured
from loadtests.streams import Stream
from loadtests.users import QUESTION_CHARACTERS, Conversation, TealUser

DOCUMENT_CHARACTERS: Final = 200_000  # fifty pages
SLOW_SECONDS: Final = 0.5  # for each event of a stream, which has some sixty: half a minute an answer


class Leaver(TealUser):
    """Closes the connection in the middle of every stream, after the first to tenth token:
    the service must stop its model and free its slot."""

    sends = measured.ASKING
    wait_time = constant(0.1)

    @tag("reproducer")
    @task
    def ask_and_leave(self) -> None:
        enough = self.chance.randint(1, 10)
        calls.ask(self, self.question(), leaves=lambda stream: stream.tokens >= enough)


class LongConversation(Conversation):
    """Has conversations of forty turns, which soon reach the longest allowed question."""

    wait_time = between(0.5, 1.5)
    turns = (40, 40)


class UploadStorm(TealUser):
    """Sends large documents without a pause and deletes each again, so that indexing and search compete for the machine."""

    sends = measured.UPLOADING
    wait_time = constant(0.0)

    @tag("reproducer")
    @task
    def send(self) -> None:
        calls.send_document(self, self.chance, DOCUMENT_CHARACTERS)


class HotKey(TealUser):
    """All users ask the same question with the first key: one cache entry, one rate limit, one connection of the cache."""

    sends = (measured.SEARCH,)
    wait_time = constant(0.1)

    def key(self, keys: list[str]) -> str:
        return keys[0]

    @tag("reproducer")
    @task
    def search(self) -> None:
        calls.search(self, self.asked[0].text)


class CacheBuster(TealUser):
    """Never repeats a question, so that every answer costs an embedding and a search."""

    sends = (measured.SEARCH,)
    wait_time = constant(0.1)

    @tag("reproducer")
    @task
    def search(self) -> None:
        said = self.chance.choice(self.asked).text
        calls.search(self, f"{said} {self.chance.getrandbits(128):032x}"[:QUESTION_CHARACTERS])


class SlowReader(TealUser):
    """Takes half a second for each event of a stream: the service's buffers fill, and its slots stay taken."""

    sends = measured.ASKING
    wait_time = between(0.5, 1.5)

    @tag("reproducer")
    @task
    def ask_and_read_slowly(self) -> None:
        def stays(_: Stream) -> bool:
            gevent.sleep(SLOW_SECONDS)
            return False

        calls.ask(self, self.question(), leaves=stays)
