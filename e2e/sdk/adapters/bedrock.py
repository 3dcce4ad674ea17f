"""The SDK `boto3`: Bedrock's converse."""

import json
import os

import boto3
import botocore.config
import botocore.exceptions
import urllib3.exceptions

from .base import TIMEOUT, Call, Reply, Talk


class Bedrock:
    errors = (botocore.exceptions.ClientError,)
    troubles = (botocore.exceptions.BotoCoreError, urllib3.exceptions.HTTPError)
    timeouts = (botocore.exceptions.ReadTimeoutError, urllib3.exceptions.ReadTimeoutError)

    def __init__(self, base_url, key, model):
        self.base_url = base_url
        self.model = model
        self.credentials = {}
        if ":" in key:
            access, secret = key.split(":", 1)
            self.credentials = {"aws_access_key_id": access, "aws_secret_access_key": secret}
        else:
            os.environ["AWS_BEARER_TOKEN_BEDROCK"] = key
        self.clients = {}
        # This SDK makes its exceptions when it makes a client.
        exceptions = self.client(None).exceptions
        self.error_types = {
            400: exceptions.ValidationException,
            404: exceptions.ResourceNotFoundException,
            429: exceptions.ThrottlingException,
            500: exceptions.InternalServerException,
            503: exceptions.ServiceUnavailableException,
        }

    def client(self, timeout):
        """A client with this timeout: it is the client's, not the call's."""
        if timeout not in self.clients:
            config = botocore.config.Config(
                # One attempt in all.
                retries={"total_max_attempts": 1},
                read_timeout=timeout or TIMEOUT,
                connect_timeout=TIMEOUT,
                proxies={},
            )
            options = {"region_name": "us-east-1", "endpoint_url": self.base_url, "config": config}
            self.clients[timeout] = boto3.client("bedrock-runtime", **options, **self.credentials)
        return self.clients[timeout]

    def talk(self, **options):
        return ConverseTalk(self, **options)

    @staticmethod
    def describe(error):
        meta, body = error.response["ResponseMetadata"], error.response["Error"]
        # Without a code this SDK takes the status for one.
        kind = None if body.get("Code", "").isdigit() else body.get("Code")
        return meta["HTTPStatusCode"], kind, body.get("Message"), meta["HTTPHeaders"]


class ConverseTalk(Talk):
    def say(self, text, png=None):
        content = [{"text": text}]
        if png is not None:
            content.append({"image": {"format": "png", "source": {"bytes": png}}})
        self.history.append({"role": "user", "content": content})

    def answer(self, results):
        blocks = [{"toolResult": {"toolUseId": call.id, "content": [{"text": text}]}} for call, text in results]
        self.history.append({"role": "user", "content": blocks})

    def _arguments(self):
        arguments = {
            "modelId": self.adapter.model,
            "messages": self.history,
            "inferenceConfig": {"maxTokens": self.max_tokens},
        }
        if self.system:
            arguments["system"] = [{"text": self.system}]
        if self.tools:
            specs = [
                {"name": tool["name"], "description": tool["description"], "inputSchema": {"json": tool["schema"]}}
                for tool in self.tools
            ]
            arguments["toolConfig"] = {"tools": [{"toolSpec": spec} for spec in specs]}
        if self.schema:
            structure = {"jsonSchema": {"schema": json.dumps(self.schema), "name": "form"}}
            arguments["outputConfig"] = {"textFormat": {"type": "json_schema", "structure": structure}}
        return arguments

    @staticmethod
    def _end(reply, content, reason, usage):
        reply.ended = reason is not None
        reply.truncated = reason == "max_tokens"
        reply.input_tokens = usage.get("inputTokens", 0)
        reply.output_tokens = usage.get("outputTokens", 0)
        uses = [block["toolUse"] for block in content if "toolUse" in block]
        reply.calls = [Call(use["toolUseId"], use["name"], use["input"]) for use in uses]

    def ask(self):
        response = self.adapter.client(self.timeout).converse(**self._arguments())
        message = response["output"]["message"]
        self.history.append(message)
        self.reply = Reply(text="".join(block.get("text", "") for block in message["content"]))
        self._end(self.reply, message["content"], response["stopReason"], response["usage"])
        return self.reply

    def stream(self):
        reply = self.reply = Reply()
        blocks, reason, usage = {}, None, {}
        stream = self.adapter.client(self.timeout).converse_stream(**self._arguments())["stream"]
        try:
            for event in stream:
                if "contentBlockStart" in event:
                    start = event["contentBlockStart"]
                    blocks[start["contentBlockIndex"]] = {"toolUse": {**start["start"]["toolUse"], "input": ""}}
                if "contentBlockDelta" in event:
                    index, delta = event["contentBlockDelta"]["contentBlockIndex"], event["contentBlockDelta"]["delta"]
                    if "toolUse" in delta:
                        blocks[index]["toolUse"]["input"] += delta["toolUse"]["input"]
                    if "text" in delta:
                        blocks.setdefault(index, {"text": ""})["text"] += delta["text"]
                        reply.text += delta["text"]
                        yield delta["text"]
                if "messageStop" in event:
                    reason = event["messageStop"]["stopReason"]
                if "metadata" in event:
                    usage = event["metadata"]["usage"]
        finally:
            stream.close()
        content = [blocks[index] for index in sorted(blocks)]
        for block in content:
            if "toolUse" in block:
                block["toolUse"]["input"] = json.loads(block["toolUse"]["input"] or "{}")
        self._end(reply, content, reason, usage)
        self.history.append({"role": "assistant", "content": content})
