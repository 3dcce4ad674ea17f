"""Runs scenarios with the providers' own SDKs against a base URL, and says how each went.

    clients.py --client openai-chat --base-url http://127.0.0.1:8080/v1 --key K --model M \
        --mock-admin http://127.0.0.1:9090

The base URL is what one gives to that SDK: with /v1 for OpenAI's, without a path for the others. For Bedrock
the key is ACCESS_KEY_ID:SECRET_ACCESS_KEY, or one of its API keys. Every argument can come from the environment
(CHANCERY_SDK_CLIENT, CHANCERY_SDK_BASE_URL, ...). Prints one line of JSON for each scenario; the exit code is 0
only if all that were asked for went well.
"""

import argparse
import json
import os
import sys
import time
import traceback

import adapters
import scenarios
from mock import Mock


def arguments():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)

    def argument(name, **options):
        default = os.environ.get("CHANCERY_SDK_" + name.upper().replace("-", "_"), options.pop("default", None))
        parser.add_argument("--" + name, default=default, required=default is None, **options)

    argument("client", choices=sorted(adapters.ADAPTERS))
    argument("base-url")
    argument("key")
    argument("model")
    argument("scenario", default="all", help="a name, several with commas, or all")
    argument("mock-admin", help="base URL of the mock that answers in the end")
    return parser.parse_args()


def run(name, scenario, adapter, mock):
    started = time.monotonic()
    mock.reset()
    try:
        detail, ok = scenario(adapter, mock), True
    except scenarios.Failure as failure:
        detail, ok = str(failure), False
    except Exception as error:  # Whatever an SDK throws that was not expected is a result, too.
        where = traceback.extract_tb(error.__traceback__)[-1]
        kind = f"{type(error).__module__}.{type(error).__name__}"
        detail, ok = f"{kind}: {error} ({where.filename}:{where.lineno})", False
    seconds = round(time.monotonic() - started, 3)
    print(json.dumps({"scenario": name, "ok": ok, "detail": detail, "seconds": seconds}), flush=True)
    return ok


def main():
    given = arguments()
    known = scenarios.ALL
    names = list(known) if given.scenario == "all" else given.scenario.split(",")
    unknown = [name for name in names if name not in known]
    if unknown:
        sys.exit(f"no such scenario: {', '.join(unknown)}; there are: {', '.join(known)}")
    mock = Mock(given.mock_admin)
    adapter = adapters.make(given.client, given.base_url, given.key, given.model)
    try:
        results = [run(name, known[name], adapter, mock) for name in names]
    finally:
        mock.reset()
    sys.exit(0 if all(results) else 1)


if __name__ == "__main__":
    main()
