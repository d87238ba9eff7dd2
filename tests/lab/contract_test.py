#!/usr/bin/env python3
"""The contract's checker finds what has drifted: each case is a message that is right but for one thing."""
import json
import pathlib
import unittest

from contract import Contract, Violation

CONTRACT = Contract(pathlib.Path(__file__).resolve().parents[2] / "man/mass-api.yaml")
AUTH = {"authorization": "Bearer key", "content-type": "application/json"}
LOAD = {"one": 0.5, "five": 0, "fifteen": 0, "processors": 2, "memory_bytes": 1, "memory_available_bytes": 0}
HEARTBEAT = {"sent": "2026-11-29T12:00:00Z", "version": "0.1.0", "load": LOAD, "disks": [], "running": [], "errors": []}
REPLY = {"server_time": "2026-11-29T12:00:00Z"}


def send(body, path="/proxies/p/heartbeats", method="POST", headers=None):
    text = b"" if body is None else json.dumps(body).encode()
    return CONTRACT.check_request(method, path, AUTH if headers is None else headers, text)[0]


def reply(body, status=200, headers=None):
    text = b"" if body is None else json.dumps(body).encode()
    sent = {"content-type": "application/json", **(headers or {})} if text else headers or {}
    CONTRACT.check_response(send(HEARTBEAT), status, sent, text)


class Drift(unittest.TestCase):
    def test_what_is_right_passes(self):
        self.assertEqual(send(HEARTBEAT).id, "sendHeartbeat")
        reply(REPLY)
        reply({"error": "busy", "message": "later"}, 429, {"retry-after": "5"})

    def test_a_request_that_drifted_is_caught(self):
        for body in ({**HEARTBEAT, "load_average": 1}, {"sent": HEARTBEAT["sent"]}, {**HEARTBEAT, "load": {**LOAD, "two": 1}}, {**HEARTBEAT, "version": 1},
                     {**HEARTBEAT, "sent": "now"}, {**HEARTBEAT, "disks": [{}]}, [HEARTBEAT], None):
            with self.subTest(body), self.assertRaises(Violation):
                send(body)

    def test_another_way_to_send_it_is_caught(self):
        for change in ({"path": "/proxies/p/heartbeat"}, {"path": "/proxies/p%2fq/heartbeats"}, {"method": "PUT"},
                       {"path": "/proxies/p/heartbeats?at=once"}, {"headers": {**AUTH, "authorization": "key"}},
                       {"headers": {**AUTH, "content-type": "text/plain"}}):
            with self.subTest(change), self.assertRaises(Violation):
                send(HEARTBEAT, **change)
        with self.assertRaises(Violation):
            send(HEARTBEAT, path="/proxies/p/tasks", method="GET")

    def test_a_reply_that_drifted_is_caught(self):
        for body, status, headers in (({**REPLY, "time": 0}, 200, {}), ({}, 200, {}), (None, 200, {}), (REPLY, 201, {}),
                                      ({"message": "no"}, 500, {}), (REPLY, 200, {"retry-after": "5"}),
                                      ({"error": "busy", "message": ""}, 429, {"retry-after": "soon"})):
            with self.subTest(body), self.assertRaises(Violation):
                reply(body, status, headers)

    def test_a_result_needs_its_key_and_its_reason(self):
        path = "/proxies/p/tasks/t/result"
        headers = {**AUTH, "idempotency-key": "0" * 32}
        result = {"state": "failed", "reason": "no", "exit_status": 1, "ended": "2026-11-29T12:00:00Z"}
        send(result, path, "PUT", headers)
        with self.assertRaises(Violation):
            send(result, path, "PUT", AUTH)
        del result["reason"]
        with self.assertRaises(Violation):
            send(result, path, "PUT", headers)


if __name__ == "__main__":
    unittest.main()
