"""As little of a client of OpenStack as making things for tests takes."""
import json
import time
import urllib.error
import urllib.request

COMPUTE = {"OpenStack-API-Version": "compute 2.90"}
VOLUME = {"OpenStack-API-Version": "volume 3.66"}
PATIENCE = 120


class Refused(Exception):
    def __init__(self, what, status, body):
        super().__init__(f"{what}: {status} {body!r}")
        self.status, self.body = status, body


def send(method, url, body=None, headers=None):
    """(headers, parsed body or None)."""
    data = None if body is None else body if isinstance(body, bytes) else json.dumps(body).encode()
    request = urllib.request.Request(url, method=method, data=data,
                                     headers={"Content-Type": "application/json", **(headers or {})})
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    try:
        with opener.open(request, timeout=PATIENCE) as reply:
            text = reply.read()
            return reply.headers, json.loads(text) if text.strip() else None
    except urllib.error.HTTPError as error:
        raise Refused(f"{method} {url}", error.code, error.read()) from None


class Client:
    """One user in one project. Paths begin at the service's address in the catalog."""

    def __init__(self, keystone, user, password, project):
        self.login = {"identity": {"methods": ["password"], "password": {
            "user": {"name": user, "domain": {"id": "default"}, "password": password}}},
            "scope": {"project": {"name": project, "domain": {"id": "default"}}}}
        self.keystone = keystone
        self.log_in()

    def log_in(self):
        headers, reply = send("POST", self.keystone + "/auth/tokens", {"auth": self.login})
        self.token = headers["X-Subject-Token"]
        self.user, self.project = reply["token"]["user"]["id"], reply["token"]["project"]["id"]
        self.urls = {service["type"]: next((end["url"] for end in service["endpoints"] if end["interface"] == "public"
                                            and end["region_id"] == "RegionOne"), None)
                     for service in reply["token"].get("catalog", [])}

    def call(self, method, service, path, body=None, headers=None):
        """The parsed reply. Logs in again when the token has expired, as a service that lives longer does."""
        for last in (False, True):
            try:
                base = self.keystone if service == "identity" else self.urls[service]
                more = {"compute": COMPUTE, "volumev3": VOLUME}.get(service, {})
                return send(method, base + path, body, {"X-Auth-Token": self.token, **more, **(headers or {})})[1]
            except Refused as refused:
                if refused.status != 401 or last:
                    raise
                self.log_in()

    def wait(self, service, path, wanted):
        """Until its status is `wanted`, or until it is gone for "deleted"; an error is an error."""
        end = time.time() + PATIENCE
        status = None
        while time.time() < end:
            try:
                reply = self.call("GET", service, path)
            except Refused as refused:
                if refused.status == 404 and wanted == "deleted":
                    return None
                raise
            one = next(iter(reply.values())) if len(reply) == 1 else reply
            status = one["status"]
            if status == wanted:
                return one
            if status.lower().startswith("error"):
                break
            time.sleep(0.05)
        raise Refused(f"{path} became {status} and not {wanted}", 0, "")

    def make_volume(self, name, gib, **more):
        volume = self.call("POST", "volumev3", "/volumes", {"volume": {"name": name, "size": gib, **more}})["volume"]["id"]
        return self.wait("volumev3", f"/volumes/{volume}", "available")

    def make_image(self, name, data):
        image = self.call("POST", "image", "/v2/images",
                          {"name": name, "disk_format": "raw", "container_format": "bare"})["id"]
        self.call("PUT", "image", f"/v2/images/{image}/file", data, {"Content-Type": "application/octet-stream"})
        self.wait("image", f"/v2/images/{image}", "active")
        return image

    def make_server(self, name, volumes):
        """That boots from the first and has the others, in that order."""
        self.call("POST", "volumev3", f"/volumes/{volumes[0]}/action", {"os-set_bootable": {"bootable": True}})
        disks = [{"boot_index": None if number else 0, "uuid": volume, "source_type": "volume",
                  "destination_type": "volume"} for number, volume in enumerate(volumes)]
        server = self.call("POST", "compute", "/servers", {"server": {
            "name": name, "flavorRef": "1", "networks": "none", "block_device_mapping_v2": disks}})["server"]["id"]
        return self.wait("compute", f"/servers/{server}", "ACTIVE")
