"""The SDK `openai`: chat completions."""

import base64
import json

import openai

from .base import TIMEOUT, Call, Reply, Talk


class OpenAiChat:
    errors = (openai.APIStatusError,)
    troubles = (openai.APIError,)
    timeouts = (openai.APITimeoutError,)
    error_types = {
        400: openai.BadRequestError,
        401: openai.AuthenticationError,
        404: openai.NotFoundError,
        429: openai.RateLimitError,
        500: openai.InternalServerError,
        503: openai.InternalServerError,
        529: openai.InternalServerError,
    }

    def __init__(self, base_url, key, model):
        self.client = openai.OpenAI(base_url=base_url, api_key=key, max_retries=0, timeout=TIMEOUT)
        self.model = model

    def talk(self, **options):
        return ChatTalk(self, **options)

    @staticmethod
    def describe(error):
        # The SDK takes the member `error` out of the body; without it there is nothing of these.
        body = error.body if isinstance(error.body, dict) else {}
        return error.status_code, body.get("type") or body.get("code"), body.get("message"), error.response.headers


class ChatTalk(Talk):
    def say(self, text, png=None):
        content = text
        if png is not None:
            url = "data:image/png;base64," + base64.b64encode(png).decode()
            content = [{"type": "text", "text": text}, {"type": "image_url", "image_url": {"url": url}}]
        self.history.append({"role": "user", "content": content})

    def answer(self, results):
        for call, text in results:
            self.history.append({"role": "tool", "tool_call_id": call.id, "content": text})

    def _arguments(self):
        system = [{"role": "system", "content": self.system}] if self.system else []
        arguments = {
            "model": self.adapter.model,
            "messages": system + self.history,
            "max_tokens": self.max_tokens,
            "timeout": self.timeout or TIMEOUT,
        }
        if self.tools:
            arguments["tools"] = [
                {
                    "type": "function",
                    "function": {
                        "name": tool["name"],
                        "description": tool["description"],
                        "parameters": tool["schema"],
                    },
                }
                for tool in self.tools
            ]
        if self.schema:
            schema = {"name": "form", "schema": self.schema, "strict": True}
            arguments["response_format"] = {"type": "json_schema", "json_schema": schema}
        return arguments

    def ask(self):
        completion = self.adapter.client.chat.completions.create(**self._arguments())
        choice = completion.choices[0]
        self.history.append(choice.message.model_dump(exclude_none=True))
        self.reply = Reply(
            text=choice.message.content or "",
            calls=[
                Call(call.id, call.function.name, json.loads(call.function.arguments))
                for call in choice.message.tool_calls or []
            ],
            input_tokens=completion.usage.prompt_tokens,
            output_tokens=completion.usage.completion_tokens,
            ended=choice.finish_reason is not None,
            truncated=choice.finish_reason == "length",
        )
        return self.reply

    def stream(self):
        reply = self.reply = Reply()
        begun = {}
        options = {"stream": True, "stream_options": {"include_usage": True}}
        with self.adapter.client.chat.completions.create(**self._arguments(), **options) as stream:
            for chunk in stream:
                if chunk.usage:
                    reply.input_tokens = chunk.usage.prompt_tokens
                    reply.output_tokens = chunk.usage.completion_tokens
                for choice in chunk.choices:
                    for part in choice.delta.tool_calls or []:
                        call = begun.setdefault(part.index, {"id": None, "name": "", "arguments": ""})
                        call["id"] = part.id or call["id"]
                        call["name"] += part.function.name or ""
                        call["arguments"] += part.function.arguments or ""
                    if choice.finish_reason:
                        reply.ended = True
                        reply.truncated = choice.finish_reason == "length"
                    if choice.delta.content:
                        reply.text += choice.delta.content
                        yield choice.delta.content
        calls = [begun[index] for index in sorted(begun)]
        reply.calls = [Call(call["id"], call["name"], json.loads(call["arguments"])) for call in calls]
        message = {"role": "assistant", "content": reply.text or None}
        if calls:
            message["tool_calls"] = [
                {
                    "id": call["id"],
                    "type": "function",
                    "function": {"name": call["name"], "arguments": call["arguments"]},
                }
                for call in calls
            ]
        self.history.append(message)
