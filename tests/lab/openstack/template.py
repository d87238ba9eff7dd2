"""The services' databases as they are before anybody has used them, made once and copied by every lab.

To make them takes ten times as long as to start the services. They are kept in a directory of this user's, under
a name that says which packages and which code made them.
"""
import base64
import fcntl
import hashlib
import os
import pathlib
import shutil
import sqlite3
import subprocess
import tempfile
import time

import client
import settings

HERE = pathlib.Path(__file__).parent
PACKAGES = ("keystone", "cinder-common", "nova-common", "python3-placement", "glance-common")
REGIONS = ("RegionOne", "Faulty", "Secure")


def place():
    made_by = hashlib.sha256()
    for file in sorted([HERE / "template.py", HERE / "settings.py", HERE / "services" / "nova_schema.py"]):
        made_by.update(file.read_bytes())
    made_by.update(subprocess.run(["dpkg-query", "-W", *PACKAGES], stdout=subprocess.PIPE, check=True).stdout)
    base = pathlib.Path(os.environ.get("TMPDIR", "/tmp")) / f"hamal-lab-{os.getuid()}"
    base.mkdir(mode=0o700, exist_ok=True)
    if base.stat().st_uid != os.getuid() or base.is_symlink():
        raise SystemExit(f"openstack.py: {base} is somebody else's")
    return base / f"openstack-{made_by.hexdigest()[:16]}"


def copy_to(run, choose_ports, build):
    """Databases and keys, with this lab's ports and directory in them; build(directory) makes what is missing.

    choose_ports() is asked late: who waits for another lab's build waits for minutes, in which ports would be taken.
    """
    template = place()
    with open(template.with_suffix(".lock"), "w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not template.exists():
            with tempfile.TemporaryDirectory(dir=template.parent) as scratch:
                made = pathlib.Path(scratch) / "made"
                made.mkdir()
                choose_ports()
                build(made)
                made.rename(template)
    ports = choose_ports()
    shutil.copytree(template / "keys", run / "keys")
    for file in template.glob("*.db"):
        shutil.copy(file, run)
    built_in, words = (template / "where").read_text().split("|")
    built = {port: name for name, port in (word.split("=") for word in words.split())}
    with sqlite3.connect(run / "keystone.db") as database:
        for row, region, url in database.execute("select id, region_id, url from endpoint").fetchall():
            scheme, host, rest = url.split(":", 2)
            port, slash, path = rest.partition("/")
            port = ports[{"RegionOne": "", "Faulty": "faulty_", "Secure": "secure_"}[region] + built[port]]
            scheme = "https" if region == "Secure" else scheme
            database.execute("update endpoint set url = ? where id = ?", (f"{scheme}:{host}:{port}{slash}{path}", row))
    with sqlite3.connect(run / "nova_api.db") as database:
        database.execute("update cell_mappings set database_connection = replace(database_connection, ?, ?)",
                         (built_in, str(run)))


def write_keys(run):
    (run / "keys").mkdir(mode=0o700)
    for number in ("0", "1"):
        (run / "keys" / number).write_bytes(base64.urlsafe_b64encode(os.urandom(32)))
        (run / "keys" / number).chmod(0o600)


def schema_commands(run):
    cell0 = f"sqlite:///{run}/nova_cell0.db"
    conf = {name: ["--config-file", f"{run}/{name}.conf"] for name in settings.SERVICES}
    return [["cinder-manage", *conf["cinder"], "db", "sync"],
            ["/usr/bin/python3", "-W", "ignore", str(HERE / "services" / "nova_schema.py"), cell0, *conf["nova"]],
            ["env", f"OS_PLACEMENT_CONFIG_DIR={run}", "placement-manage", *conf["placement"], "db", "sync"],
            ["glance-manage", *conf["glance"], "db_sync"]]


def bootstrap_command(run, ports):
    urls = [f"--bootstrap-{kind}-url=http://127.0.0.1:{ports['keystone']}/v3" for kind in ("public", "internal")]
    return ["keystone-manage", "--config-file", f"{run}/keystone.conf", "bootstrap",
            f"--bootstrap-password={settings.ADMIN_PASSWORD}", "--bootstrap-region-id=RegionOne", *urls]


def fill_keystone(ports):
    """Users, projects, the catalog: everything in three regions, straight, through the proxy, and through it by TLS."""
    admin = client.Client(f"http://127.0.0.1:{ports['keystone']}/v3", "admin", settings.ADMIN_PASSWORD, "admin")

    def make(what, plural, **values):
        return admin.call("POST", "identity", f"/{plural}", {what: values})[what]["id"]

    roles = {role["name"]: role["id"] for role in admin.call("GET", "identity", "/roles")["roles"]}
    roles["service"] = make("role", "roles", name="service")
    projects = {name: make("project", "projects", name=name, domain_id="default")
                for name in ("service", "demo", "other")}

    def make_user(name, password, project, *names):
        user = make("user", "users", name=name, password=password, domain_id="default")
        for role in names:
            admin.call("PUT", "identity", f"/projects/{projects[project]}/users/{user}/roles/{roles[role]}")

    for name in ("cinder", "nova", "glance", "placement", "neutron"):
        make_user(name, settings.service_password(name), "service", "admin", "service")
    for project in ("demo", "other"):
        admin.call("PUT", "identity", f"/projects/{projects[project]}/users/{admin.user}/roles/{roles['admin']}")
    make_user("hamal", "hamal-secret", "demo", "member", "reader")
    make_user("reader", "reader-secret", "demo", "reader")
    make_user("stranger", "stranger-secret", "other", "member", "reader")
    for region in REGIONS[1:]:
        admin.call("POST", "identity", "/regions", {"region": {"id": region}})
    for name, (kind, service, path) in settings.CATALOG.items():
        known = admin.call("GET", "identity", f"/services?type={kind}")["services"]
        number = known[0]["id"] if known else make("service", "services", type=kind, name=service)
        for region in REGIONS:
            for interface in ("public", "internal"):
                if known and region == "RegionOne":
                    continue  # of the bootstrap
                make("endpoint", "endpoints", service_id=number, interface=interface, region_id=region,
                     url=f"http://127.0.0.1:{ports[name]}{path}")


def finish(run, ports, made):
    for file in run.glob("*.db"):
        database = sqlite3.connect(file)
        database.execute("pragma journal_mode=wal")
        database.execute("pragma wal_checkpoint(truncate)")
        database.close()
        shutil.copy(file, made)
    shutil.copytree(run / "keys", made / "keys")
    words = " ".join(f"{name}={ports[name]}" for name in settings.SERVICES)
    (made / "where").write_text(f"{run}|{words}")
