"""What is tried, one function each. Nothing here knows a provider: all must hold whichever answers.

A scenario gets an adapter (see adapters/base.py) and the mock's admin endpoint, and returns a few words on what
it saw. It raises Failure when something is not as it must be.
"""

import base64
import json
import time

# So many words that a stream of them has more pieces than are let through before a trouble, in any protocol.
LONG = "count " + " ".join(f"word{number}" for number in range(40))
# Pieces before a trouble: enough that some text is among them, in any protocol.
PIECES = 12
PNG = base64.b64decode(
    "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNkYPhfDwAChwGA60e6kgAAAABJRU5ErkJggg=="
)
WEATHER = {
    "name": "get_weather",
    "description": "The weather in a city.",
    "schema": {
        "type": "object",
        "properties": {"city": {"type": "string"}},
        "required": ["city"],
        "additionalProperties": False,
    },
}
FORM = {
    "type": "object",
    "properties": {"answer": {"type": "string"}, "count": {"type": "integer"}},
    "required": ["answer", "count"],
    "additionalProperties": False,
}


class Failure(Exception):
    """Something is not as it must be."""


def check(holds, what):
    if not holds:
        raise Failure(what)


def check_usage(reply):
    check(reply.input_tokens > 0 and reply.output_tokens > 0, f"no usage: {reply}")


def unary(adapter, mock):
    talk = adapter.talk()
    talk.say("hello from the client")
    reply = talk.ask()
    check("You said: hello from the client" in reply.text, f"another text: {reply}")
    check(reply.ended, f"no reason for the end: {reply}")
    check_usage(reply)
    return f"{reply.input_tokens}+{reply.output_tokens} tokens"


def stream(adapter, mock):
    delay = 0.03
    mock.set(piece_delay_ms=int(delay * 1000))
    talk = adapter.talk()
    talk.say("one two three four five six seven")
    pieces, times = [], []
    for piece in talk.stream():
        pieces.append(piece)
        times.append(time.monotonic())
    reply = talk.reply
    check("".join(pieces) == reply.text, f"pieces {pieces} are not the text {reply.text!r}")
    check("You said: one two three four five six seven" in reply.text, f"another text: {reply}")
    check(len(pieces) > 2, f"not a stream: {pieces}")
    # All at once would be no stream: the last piece left the mock this long after the first.
    check(times[-1] - times[0] >= 2 * delay, f"{len(pieces)} pieces within {times[-1] - times[0]:.3f} s")
    check(reply.ended, f"no reason for the end: {reply}")
    check_usage(reply)
    return f"{len(pieces)} pieces in {times[-1] - times[0]:.3f} s"


def split_stream(adapter, mock):
    mock.set(piece_bytes=7)
    talk = adapter.talk()
    talk.say("caf\u00e9 \u4f60\u597d \U0001f600 end")
    text = "".join(talk.stream())
    check("You said: caf\u00e9 \u4f60\u597d \U0001f600 end" in text, f"another text: {text!r}")
    check_usage(talk.reply)
    return "split in the middle of letters"


def system_prompt(adapter, mock):
    talk = adapter.talk(system="Always be brief.")
    talk.say("hello")
    reply = talk.ask()
    check("System says: Always be brief." in reply.text and "You said: hello" in reply.text, f"another text: {reply}")
    return reply.text


def conversation(adapter, mock):
    talk = adapter.talk()
    talk.say("first question")
    first = talk.ask()
    talk.say("second question")
    second = talk.ask()
    check("You said: second question" in second.text, f"another text: {second}")
    check(second.input_tokens > first.input_tokens, f"the history is missing: {first} {second}")
    return f"{first.input_tokens} then {second.input_tokens} input tokens"


def tools(adapter, mock):
    return _tools(adapter, lambda talk: talk.ask())


def tools_streamed(adapter, mock):
    def ask(talk):
        for _ in talk.stream():
            pass
        return talk.reply

    return _tools(adapter, ask)


def _tools(adapter, ask):
    talk = adapter.talk(tools=[WEATHER])
    talk.say("What is the weather?")
    reply = ask(talk)
    check(len(reply.calls) == 1, f"not one call: {reply}")
    call = reply.calls[0]
    check(call.name == "get_weather" and call.arguments == {"city": "Paris"}, f"another call: {call}")
    check(reply.ended, f"no reason for the end: {reply}")
    check_usage(reply)
    talk.answer([(call, "sunny 21 degrees")])
    final = ask(talk)
    check(not final.calls and "sunny 21 degrees" in final.text, f"another final text: {final}")
    check_usage(final)
    return final.text


def parallel_tools(adapter, mock):
    talk = adapter.talk(tools=[WEATHER])
    talk.say("What is the weather in two cities, parallel please?")
    reply = talk.ask()
    cities = [call.arguments.get("city") for call in reply.calls]
    check(cities == ["Paris", "London"], f"other calls: {reply}")
    ids = [call.id for call in reply.calls if call.id]
    check(len(ids) == len(set(ids)), f"one id for two calls: {reply}")
    talk.answer([(reply.calls[0], "sunny"), (reply.calls[1], "rainy")])
    final = talk.ask()
    check("sunny" in final.text and "rainy" in final.text, f"another final text: {final}")
    check(final.text.index("sunny") < final.text.index("rainy"), f"results changed places: {final}")
    return final.text


def parallel_tools_streamed(adapter, mock):
    talk = adapter.talk(tools=[WEATHER])
    talk.say("What is the weather in two cities, parallel please?")
    for _ in talk.stream():
        pass
    cities = [call.arguments.get("city") for call in talk.reply.calls]
    check(cities == ["Paris", "London"], f"other calls: {talk.reply}")
    talk.answer([(talk.reply.calls[0], "sunny"), (talk.reply.calls[1], "rainy")])
    text = "".join(talk.stream())
    check("sunny" in text and "rainy" in text, f"another final text: {text!r}")
    return text


def image(adapter, mock):
    talk = adapter.talk()
    talk.say("what is this", png=PNG)
    reply = talk.ask()
    check(f"saw 1 image, image/png, {len(PNG)} bytes" in reply.text, f"another text: {reply}")
    check("You said: what is this" in reply.text, f"another text: {reply}")
    return reply.text


def structured_output(adapter, mock):
    talk = adapter.talk(schema=FORM)
    talk.say("fill in the form")
    reply = talk.ask()
    try:
        form = json.loads(reply.text)
    except ValueError:
        raise Failure(f"not JSON: {reply}") from None
    check(set(form) == {"answer", "count"} and isinstance(form["count"], int), f"another form: {form}")
    check("fill in the form" in form["answer"], f"another answer: {form}")
    return reply.text


def max_tokens(adapter, mock):
    talk = adapter.talk(max_tokens=5)
    talk.say(LONG)
    reply = talk.ask()
    check(reply.truncated, f"the end does not say that it is one for the length: {reply}")
    return reply.text


# What the mock sends, and what may arrive: not every protocol knows 529.
STATUSES = {400: {400}, 401: {401}, 404: {404}, 413: {413}, 429: {429}, 500: {500}, 529: {529, 503}}


def errors(adapter, mock):
    return _errors(adapter, mock, lambda talk: talk.ask())


def errors_streamed(adapter, mock):
    return _errors(adapter, mock, lambda talk: list(talk.stream()))


def _errors(adapter, mock, ask):
    seen = []
    for sent, allowed in STATUSES.items():
        mock.reset()
        mock.set(status=sent, retry_after=7 if sent == 429 else None)
        talk = adapter.talk()
        talk.say("hello")
        error = _error_of(adapter, talk, ask)
        check(error is not None, f"{sent}: no exception, but {talk.reply}")
        status, kind, message, headers = adapter.describe(error)
        check(status in allowed, f"{sent}: became {status}: {error!r}")
        expected = adapter.error_types.get(status, adapter.errors)
        check(isinstance(error, expected), f"{sent}: {type(error).__name__} instead of {expected}: {error!r}")
        check(kind and message, f"{sent}: not in the form of this API: {error!r}")
        if sent == 429:
            check(headers.get("retry-after") == "7", f"no retry-after: {dict(headers)}")
        check(len(mock.requests()) == 1, f"{sent}: {len(mock.requests())} requests arrived, not one")
        seen.append(f"{sent}: {type(error).__name__}/{kind}")
    return "; ".join(seen)


def _error_of(adapter, talk, ask):
    try:
        ask(talk)
    except adapter.errors as error:
        return error
    return None


def cut_stream(adapter, mock):
    mock.set(cut_after=PIECES)
    return _troubled(adapter, adapter.troubles)


def error_in_stream(adapter, mock):
    mock.set(fail_after=PIECES)
    return _troubled(adapter, adapter.troubles + adapter.errors)


def stalled_stream(adapter, mock):
    mock.set(stall_after=PIECES)
    started = time.monotonic()
    detail = _troubled(adapter, adapter.timeouts, timeout=1.5)
    # What came before the silence must not wait for its end.
    check(" after 0 pieces" not in detail, f"nothing arrived: {detail}")
    check(time.monotonic() - started < 30, f"the timeout took {time.monotonic() - started:.1f} s")
    return detail


def _troubled(adapter, expected, timeout=None):
    talk = adapter.talk(timeout=timeout)
    talk.say(LONG)
    pieces = []
    try:
        for piece in talk.stream():
            pieces.append(piece)
    except expected as error:
        return f"{type(error).__name__} after {len(pieces)} pieces"
    raise Failure(f"a silent end after {len(pieces)} pieces: {talk.reply}")


def disconnect(adapter, mock):
    # The mock goes silent, so that it is the client's leaving and nothing else that ends the exchange.
    mock.set(stall_after=PIECES)
    talk = adapter.talk()
    talk.say(LONG)
    stream = talk.stream()
    first = next(stream)
    check(not any(request["disconnected"] for request in mock.requests()), "gone before the client left")
    stream.close()
    requests = mock.wait_for_disconnect()
    check(any(request["disconnected"] for request in requests), f"the mock saw no disconnect: {len(requests)} requests")
    return f"left after {first!r}"


ALL = {
    scenario.__name__: scenario
    for scenario in [
        unary, stream, split_stream, system_prompt, conversation, tools, tools_streamed, parallel_tools,
        parallel_tools_streamed, image, structured_output, max_tokens, errors, errors_streamed, cut_stream,
        error_in_stream, stalled_stream, disconnect,
    ]
}  # fmt: skip
