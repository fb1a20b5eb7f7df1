# SPDX-License-Identifier: Apache-2.0
"""Rules for what routes carry: by the name that led there, at the first look and at each address."""

import http.client

import pytest

CONFIG = {"listeners": [{"name": "edge", "address": "127.0.0.1:0", "protocols": ["http"], "forward": False}],
          "acl_default": "deny"}


def ask(proxy, host):
    connection = http.client.HTTPConnection(*proxy.address, timeout=10)
    connection.request("GET", "/", headers={"Host": host})
    status = connection.getresponse().status
    connection.close()
    return status


@pytest.mark.parametrize("rule, status", [
    ({"action": "allow", "domains": ["web.test"]}, 200),
    ({"action": "allow", "domains": ["other.test"]}, 403),
    ({"action": "allow", "destinations": ["127.0.0.1"]}, 200),
    ({"action": "allow", "domains": ["web.test"], "destinations": ["192.0.2.1"]}, 403),
])
@pytest.mark.parametrize("target", ["localhost", "127.0.0.1"])
def test_rules_of_routes(sluice, origin, rule, status, target):
    route = {"name": "web", "hosts": ["web.test"], "to": [f"{target}:{origin.address[1]}"]}
    proxy = sluice({**CONFIG, "routes": [route], "acl": [{"name": "first", **rule}]})
    assert ask(proxy, "web.test") == status
    record = proxy.wait_access(host="web.test")[0]
    assert record["route"] == "web" and record["port"] == origin.address[1]
    assert record.get("rule") == ("first" if status == 200 else None)
