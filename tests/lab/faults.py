"""The list of faults that a test's server is told: which of them is done to a request, and how often."""
import threading


class Faults:
    """A fault is a dictionary: "do" names it, the first that matches and has "times" (1) left is done.

    "method" and "contains" (in path and query) restrict it; other words of `more` must be equal.
    """

    def __init__(self):
        self.lock = threading.Lock()
        self.faults = []

    def set(self, faults):
        with self.lock:
            self.faults = faults

    def take(self, method, target, **more):
        with self.lock:
            for fault in self.faults:
                if fault.get("times", 1) > 0 and fault.get("method", method) == method \
                        and fault.get("contains", "") in target \
                        and all(fault.get(word, value) == value for word, value in more.items()):
                    fault["times"] = fault.get("times", 1) - 1
                    return fault
        return {"do": ""}
