"""The SDK `anthropic`: messages."""

import base64

import anthropic
import httpx2

from .base import TIMEOUT, Call, Reply, Talk


class AnthropicMessages:
    errors = (anthropic.APIStatusError,)
    # While a stream is read, what breaks the connection comes from the HTTP client as it is.
    troubles = (anthropic.APIError, httpx2.TransportError)
    timeouts = (anthropic.APITimeoutError, httpx2.TimeoutException)
    error_types = {
        400: anthropic.BadRequestError,
        401: anthropic.AuthenticationError,
        404: anthropic.NotFoundError,
        429: anthropic.RateLimitError,
        500: anthropic.InternalServerError,
        503: anthropic.InternalServerError,
        529: anthropic.InternalServerError,
    }

    def __init__(self, base_url, key, model):
        self.client = anthropic.Anthropic(base_url=base_url, api_key=key, max_retries=0, timeout=TIMEOUT)
        self.model = model

    def talk(self, **options):
        return MessagesTalk(self, **options)

    @staticmethod
    def describe(error):
        body = error.body if isinstance(error.body, dict) else {}
        inner = body.get("error") if body.get("type") == "error" else None
        inner = inner if isinstance(inner, dict) else {}
        return error.status_code, inner.get("type"), inner.get("message"), error.response.headers


class MessagesTalk(Talk):
    def say(self, text, png=None):
        content = text
        if png is not None:
            data = base64.b64encode(png).decode()
            source = {"type": "base64", "media_type": "image/png", "data": data}
            content = [{"type": "image", "source": source}, {"type": "text", "text": text}]
        self.history.append({"role": "user", "content": content})

    def answer(self, results):
        blocks = [{"type": "tool_result", "tool_use_id": call.id, "content": text} for call, text in results]
        self.history.append({"role": "user", "content": blocks})

    def _arguments(self):
        arguments = {
            "model": self.adapter.model,
            "messages": self.history,
            "max_tokens": self.max_tokens,
            "timeout": self.timeout or TIMEOUT,
        }
        if self.system:
            arguments["system"] = self.system
        if self.tools:
            arguments["tools"] = [
                {"name": tool["name"], "description": tool["description"], "input_schema": tool["schema"]}
                for tool in self.tools
            ]
        if self.schema:
            arguments["output_config"] = {"format": {"type": "json_schema", "schema": self.schema}}
        return arguments

    def _take(self, message):
        self.history.append({"role": "assistant", "content": message.content})
        return Reply(
            text="".join(block.text for block in message.content if block.type == "text"),
            calls=[Call(block.id, block.name, block.input) for block in message.content if block.type == "tool_use"],
            input_tokens=message.usage.input_tokens,
            output_tokens=message.usage.output_tokens,
            ended=message.stop_reason is not None,
            truncated=message.stop_reason == "max_tokens",
        )

    def ask(self):
        self.reply = self._take(self.adapter.client.messages.create(**self._arguments()))
        return self.reply

    def stream(self):
        self.reply = Reply()
        # The SDK's own helper, which builds the message from its events.
        with self.adapter.client.messages.stream(**self._arguments()) as stream:
            for event in stream:
                if event.type == "content_block_delta" and event.delta.type == "text_delta":
                    yield event.delta.text
            self.reply = self._take(stream.get_final_message())
