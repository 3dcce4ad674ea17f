"""The admin endpoint of the mock that answers in the end."""

import json
import urllib.request


class Mock:
    def __init__(self, base_url):
        self.base_url = base_url.rstrip("/")
        # What whoever started the mock has set, such as the keys that are let in, stays.
        self.base = self._call("GET", "/__knobs")

    def set(self, **knobs):
        """Sets these knobs on top of those that were set before this program started."""
        self._call("PUT", "/__knobs", {**self.base, **knobs})

    def reset(self):
        self.set()
        self._call("DELETE", "/__requests")

    def requests(self):
        return self._call("GET", "/__requests")

    def wait_for_disconnect(self, within_ms=10_000):
        """Waits until the mock has seen a client go away before its answer was complete."""
        return self._call("GET", f"/__requests?disconnected=1&within_ms={within_ms}")

    def _call(self, method, path, body=None):
        data = None if body is None else json.dumps(body).encode()
        request = urllib.request.Request(self.base_url + path, data=data, method=method)
        # Never through a proxy of the environment: the mock is on this machine.
        opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
        with opener.open(request, timeout=30) as response:
            return json.load(response)
