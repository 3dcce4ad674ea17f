"""What an adapter is.

An adapter makes talks. A talk holds the history in the SDK's own types:

    talk = adapter.talk(system=..., tools=[...], schema=..., max_tokens=..., timeout=...)
    talk.say("text", png=b"...")           a turn of the user
    reply = talk.ask()                     the answer, which becomes part of the history
    for piece in talk.stream(): ...        the same as a stream of texts; then talk.reply is the answer
    talk.answer([(call, "result"), ...])   results of the calls of the last answer

and an adapter says what its SDK's exceptions mean: `errors` (answers with an error status), `error_types` (by
status), `troubles` (a stream that breaks), `timeouts`, and `describe(error)`.
"""

from dataclasses import dataclass, field
from typing import Any

# Long enough for a busy machine; scenarios that wait for a timeout give their own.
TIMEOUT = 30.0


@dataclass
class Call:
    """A tool call; the id is None where the protocol has none."""

    id: str | None
    name: str
    arguments: dict[str, Any]


@dataclass
class Reply:
    """An answer, whichever SDK it came by."""

    text: str = ""
    calls: list[Call] = field(default_factory=list)
    input_tokens: int = 0
    output_tokens: int = 0
    ended: bool = False  # The SDK was told that and why the answer is complete.
    truncated: bool = False  # The reason was the limit of tokens.


class StreamFailed(Exception):
    """A stream carried an error that the SDK hands out as an event, not as an exception."""


@dataclass
class Talk:
    adapter: Any
    system: str | None = None
    tools: list[dict] = field(default_factory=list)
    schema: dict | None = None
    max_tokens: int = 500
    timeout: float | None = None
    history: list = field(default_factory=list)
    reply: Reply = field(default_factory=Reply)
