"""The SDK `openai`: responses."""

import base64
import json

import openai

from .base import TIMEOUT, Call, Reply, StreamFailed, Talk
from .openai_chat import OpenAiChat


class OpenAiResponses(OpenAiChat):
    troubles = (openai.APIError, StreamFailed)

    def talk(self, **options):
        return ResponsesTalk(self, **options)


class ResponsesTalk(Talk):
    def say(self, text, png=None):
        content = text
        if png is not None:
            url = "data:image/png;base64," + base64.b64encode(png).decode()
            content = [
                {"type": "input_text", "text": text},
                {"type": "input_image", "image_url": url, "detail": "auto"},
            ]
        self.history.append({"role": "user", "content": content})

    def answer(self, results):
        for call, text in results:
            self.history.append({"type": "function_call_output", "call_id": call.id, "output": text})

    def _arguments(self):
        arguments = {
            "model": self.adapter.model,
            "input": self.history,
            "max_output_tokens": self.max_tokens,
            "timeout": self.timeout or TIMEOUT,
            # The history is sent whole each time; nothing need be kept.
            "store": False,
        }
        if self.system:
            arguments["instructions"] = self.system
        if self.tools:
            arguments["tools"] = [
                {
                    "type": "function",
                    "name": tool["name"],
                    "description": tool["description"],
                    "parameters": tool["schema"],
                    "strict": True,
                }
                for tool in self.tools
            ]
        if self.schema:
            form = {"type": "json_schema", "name": "form", "schema": self.schema, "strict": True}
            arguments["text"] = {"format": form}
        return arguments

    def _take(self, response):
        # As the SDK's guide has it: the items of the answer are input of the next request.
        self.history.extend(item.model_dump(exclude_none=True) for item in response.output)
        calls = [item for item in response.output if item.type == "function_call"]
        reason = response.incomplete_details.reason if response.incomplete_details else None
        return Reply(
            text=response.output_text,
            calls=[Call(call.call_id, call.name, json.loads(call.arguments)) for call in calls],
            input_tokens=response.usage.input_tokens,
            output_tokens=response.usage.output_tokens,
            ended=response.status in ("completed", "incomplete"),
            truncated=reason == "max_output_tokens",
        )

    def ask(self):
        self.reply = self._take(self.adapter.client.responses.create(**self._arguments()))
        return self.reply

    def stream(self):
        self.reply = Reply()
        text, arguments, last = "", {}, None
        with self.adapter.client.responses.create(**self._arguments(), stream=True) as stream:
            for event in stream:
                if event.type in ("error", "response.failed"):
                    raise StreamFailed(event.to_json(indent=None))
                if event.type == "response.function_call_arguments.delta":
                    arguments[event.item_id] = arguments.get(event.item_id, "") + event.delta
                if event.type in ("response.completed", "response.incomplete"):
                    last = event.response
                if event.type == "response.output_text.delta":
                    text += event.delta
                    yield event.delta
        if last is None:
            return
        self.reply = self._take(last)
        # The deltas and the last event say the same thing twice; they must agree.
        whole = {item.id: item.arguments for item in last.output if item.type == "function_call"}
        if text != self.reply.text or arguments != whole:
            raise StreamFailed(f"deltas {text!r} {arguments} are not the response {self.reply.text!r} {whole}")
