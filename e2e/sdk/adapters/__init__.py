"""The SDKs, each behind the same few calls (see base.py)."""

import importlib

ADAPTERS = {
    "openai-chat": ("openai_chat", "OpenAiChat"),
    "openai-responses": ("openai_responses", "OpenAiResponses"),
    "anthropic": ("anthropic_messages", "AnthropicMessages"),
    "gemini": ("gemini", "Gemini"),
    "bedrock": ("bedrock", "Bedrock"),
}


def make(client, base_url, key, model):
    """The adapter of a client. Its SDK is imported only now: some take seconds."""
    module, name = ADAPTERS[client]
    return getattr(importlib.import_module(f".{module}", __name__), name)(base_url, key, model)
