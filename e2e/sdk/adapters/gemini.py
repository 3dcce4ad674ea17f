"""The SDK `google-genai`: the Gemini API."""

import httpx2
from google import genai
from google.genai import errors as genai_errors
from google.genai import types

from .base import TIMEOUT, Call, Reply, Talk


class Gemini:
    errors = (genai_errors.APIError,)
    troubles = (genai_errors.APIError, httpx2.TransportError)
    timeouts = (httpx2.TimeoutException,)
    error_types = {
        **dict.fromkeys((400, 401, 404, 413, 429), genai_errors.ClientError),
        **dict.fromkeys((500, 503, 529), genai_errors.ServerError),
    }

    def __init__(self, base_url, key, model):
        # Without retry options this SDK does not retry.
        self.client = genai.Client(api_key=key, http_options=self.options(base_url=base_url))
        self.model = model

    @staticmethod
    def options(timeout=None, **more):
        # It counts in milliseconds.
        return types.HttpOptions(timeout=int((timeout or TIMEOUT) * 1000), **more)

    def talk(self, **options):
        return GeminiTalk(self, **options)

    @staticmethod
    def describe(error):
        return error.code, error.status, error.message, error.response.headers


class GeminiTalk(Talk):
    def say(self, text, png=None):
        parts = [types.Part(text=text)]
        if png is not None:
            parts.append(types.Part.from_bytes(data=png, mime_type="image/png"))
        self.history.append(types.Content(role="user", parts=parts))

    def answer(self, results):
        parts = [
            types.Part(function_response=types.FunctionResponse(id=call.id, name=call.name, response={"result": text}))
            for call, text in results
        ]
        self.history.append(types.Content(role="user", parts=parts))

    def _arguments(self):
        config = types.GenerateContentConfig(
            max_output_tokens=self.max_tokens,
            system_instruction=self.system,
            http_options=self.adapter.options(self.timeout),
        )
        if self.tools:
            functions = [
                types.FunctionDeclaration(
                    name=tool["name"], description=tool["description"], parameters_json_schema=tool["schema"]
                )
                for tool in self.tools
            ]
            config.tools = [types.Tool(function_declarations=functions)]
        if self.schema:
            config.response_mime_type = "application/json"
            config.response_json_schema = self.schema
        return {"model": self.adapter.model, "contents": self.history, "config": config}

    def _add(self, reply, parts, response):
        """Adds what a response, or a piece of one, carries; returns the new text."""
        new = ""
        for candidate in response.candidates or []:
            for part in (candidate.content and candidate.content.parts) or []:
                parts.append(part)
                if part.text and not part.thought:
                    new += part.text
                if part.function_call:
                    call = part.function_call
                    reply.calls.append(Call(call.id, call.name, dict(call.args or {})))
            if candidate.finish_reason:
                reply.ended = True
                reply.truncated = candidate.finish_reason == types.FinishReason.MAX_TOKENS
        if response.usage_metadata:
            reply.input_tokens = response.usage_metadata.prompt_token_count or 0
            reply.output_tokens = response.usage_metadata.candidates_token_count or 0
        reply.text += new
        return new

    def ask(self):
        reply, parts = Reply(), []
        self._add(reply, parts, self.adapter.client.models.generate_content(**self._arguments()))
        self.history.append(types.Content(role="model", parts=parts))
        self.reply = reply
        return reply

    def stream(self):
        reply, parts = Reply(), []
        self.reply = reply
        stream = self.adapter.client.models.generate_content_stream(**self._arguments())
        try:
            for response in stream:
                new = self._add(reply, parts, response)
                if new:
                    yield new
        finally:
            stream.close()
        self.history.append(types.Content(role="model", parts=parts))
