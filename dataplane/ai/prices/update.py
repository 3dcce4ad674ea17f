#!/usr/bin/env python3
"""Writes public.txt: the prices of public models, from the price list of LiteLLM (MIT licence), whose facts are the providers'.

    pip download litellm --no-deps && unzip -p litellm-*.whl litellm/model_prices_and_context_window_backup.json > prices.json
    ./update.py prices.json "LiteLLM VERSION" YYYY-MM-DD > public.txt

Prices of LiteLLM are in USD per token, as floating point numbers; here they are decimal numbers of USD per million tokens.
"""

import json
import re
import sys
from decimal import Decimal

# The columns: what LiteLLM calls them.
COLUMNS = [
    "input_cost_per_token",
    "output_cost_per_token",
    "cache_read_input_token_cost",
    "cache_creation_input_token_cost",
    "cache_creation_input_token_cost_above_1hr",
]
TIERS = {"batch": "batches", "flex": "flex", "priority": "priority", "ultrafast": "ultrafast"}
THRESHOLDS = [128, 200, 272]
MODES = {"chat", "completion", "responses", "embedding"}
# Their tokens are not of text alone, and have other prices.
OTHER_MODALITIES = re.compile(r"audio|realtime|live|tts|transcribe|image|voxtral|omni|lyria|banana|robotics|multimodal")
DATE = re.compile(r"(-\d{4}-\d{2}-\d{2}|[-@]\d{8}|@default)$")


def section(name, entry):
    """The section of a model and its name there, or None."""
    provider = entry.get("litellm_provider", "")
    if provider in ("bedrock", "bedrock_converse"):
        return None if "/" in name else ("bedrock", name)
    if provider.startswith("vertex_ai"):
        # Regions with prices of their own are not told apart.
        name = name.removeprefix("vertex_ai/").split("/")[-1]
        return ("vertexai", name)
    if provider in ("anthropic", "deepseek", "gemini", "mistral", "openai"):
        name = name.removeprefix(provider + "/")
        return None if "/" in name or name.startswith("ft:") else (provider, name)
    return None


def price(value):
    """USD per million tokens, or None. Nothing is free: LiteLLM has zeros where it knows no price."""
    if not value:
        return None
    million = Decimal(repr(value)) * 1_000_000
    rounded = million.quantize(Decimal("0.000001"))
    # What is left are the traces of arithmetic in floating point numbers.
    assert abs(million - rounded) < Decimal("0.0000001"), value
    return rounded


def rate(entry, suffix):
    values = [price(entry.get(column + suffix)) for column in COLUMNS]
    return values if values[0] is not None else None


def rates(entry):
    """The price of a model, and what it is for other tiers and for long prompts, by their names."""
    found = {"": rate(entry, "")}
    for kilo in THRESHOLDS:
        found[f">{kilo}000"] = rate(entry, f"_above_{kilo}k_tokens")
    for tier, theirs in TIERS.items():
        found[tier] = rate(entry, "_" + theirs)
        for kilo in THRESHOLDS:
            found[f"{tier}>{kilo}000"] = rate(entry, f"_above_{kilo}k_tokens_{theirs}")
    found = {name: values for name, values in found.items() if values}
    return {name: completed(values, found[""]) for name, values in found.items()}


def completed(values, usual):
    """What a tier has no price of its own for costs in the ratio of the prices of input: so providers say it themselves."""
    ratio = values[0] / usual[0]
    filled = [own if own or not other else other * ratio for own, other in zip(values, usual)]
    return [value and value.quantize(Decimal("0.000001")) for value in filled]


def is_of_text(name, entry):
    reasoning, output = entry.get("output_cost_per_reasoning_token"), entry.get("output_cost_per_token")
    return (
        entry.get("mode") in MODES
        and not OTHER_MODALITIES.search(name)
        and (not reasoning or reasoning == output)
        and (bool(output) or entry["mode"] == "embedding")
    )


def written(values):
    def text(value):
        return "-" if value is None else f"{value.normalize():f}"

    return " ".join(map(text, values))


def main():
    path, source, date = sys.argv[1:]
    with open(path, encoding="utf-8") as file:
        models = json.load(file)
    sections = {}
    for name, entry in models.items():
        place = section(name, entry)
        if place is None or not is_of_text(name, entry) or rate(entry, "") is None:
            continue
        sections.setdefault(place[0], {}).setdefault(place[1], rates(entry))
    print("# Prices of public models in USD per million tokens.")
    print(f"# Source: the price list of {source} (MIT licence), which names the pages of the providers.")
    print(f"# Date: {date}")
    print("# Columns: model, input, output, input from the cache, input into the cache, the same for an hour.")
    print("# Indented: the same for a tier of service, or for prompts of more tokens than so many. Written by update.py.")
    for provider in sorted(sections):
        print(f"[{provider}]")
        known = sections[provider]
        for name in sorted(known):
            bare = DATE.sub("", name)
            # A name with a date is looked up without it, too.
            if bare != name and known.get(bare) == known[name]:
                continue
            for variant, values in sorted(known[name].items()):
                print(f" {variant}" if variant else name, written(values))


main()
