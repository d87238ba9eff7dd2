#!/usr/bin/env python3
"""Three proxies share the machines of a job by one PostgreSQL and one repository, while they are killed and stopped at random.

The database itself keeps the minutes: triggers write down who writes what of which machine, and who has its lease in that
very transaction. So a checkpoint, mark, snapshot or run of a stale holder cannot hide, nor can a lease that was taken
before its end. Break it: let SqlLeaseState::require() return at once, or acquire() take what is held, and it fails.
"""
import hashlib
import os
import signal
import time

import lab
import postgresql
import runner

PROXIES = ("a", "b", "c")
VMS = 3
SIZE = 2 * lab.MIB
TTL = 5  # seconds: the least that hamal.conf(5) allows
ROUNDS = 2  # under a minute in all, also on a busy machine; HAMAL_FAULT_RUNS is for more

MINUTES = """
CREATE TABLE minutes (what TEXT, vm TEXT, writer TEXT, holder TEXT);
CREATE TABLE changes (vm TEXT, before TEXT, after TEXT, old_token BIGINT, new_token BIGINT, early BOOLEAN);
CREATE FUNCTION note_write() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER AS $$
DECLARE written RECORD;
BEGIN
  written := CASE WHEN TG_OP = 'DELETE' THEN OLD ELSE NEW END;
  INSERT INTO minutes SELECT TG_TABLE_NAME, written.vm_id, current_setting('application_name'),
    (SELECT proxy FROM leases WHERE vm_id = written.vm_id AND owner <> '') WHERE written.vm_id NOT LIKE '//proxy/%';
  RETURN NULL;
END $$;
CREATE FUNCTION note_lease() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER AS $$
BEGIN
  IF NEW.owner <> OLD.owner OR NEW.token <> OLD.token THEN
    INSERT INTO changes VALUES (NEW.vm_id, OLD.proxy, NEW.proxy, OLD.token, NEW.token,
      OLD.owner <> '' AND NEW.owner <> '' AND OLD.scope <> NEW.scope AND
      OLD.expires > EXTRACT(EPOCH FROM clock_timestamp()) * 1000);
  END IF;
  RETURN NULL;
END $$;
CREATE TRIGGER note AFTER UPDATE ON leases FOR EACH ROW EXECUTE FUNCTION note_lease();
""" + "".join("CREATE TRIGGER note AFTER INSERT OR UPDATE OR DELETE ON %s FOR EACH ROW EXECUTE FUNCTION note_write();\n" % table
              for table in ("checkpoints", "in_progress", "snapshots", "runs"))


class Proxy:
    """A hamal-period that loops, with a configuration and a hamal_lib_dir of its own."""

    def __init__(self, cluster, name):
        self.cluster, self.name = cluster, name
        world = cluster.world
        self.config = world.path(name + ".conf")
        self.lib = world.path(name)
        os.mkdir(self.lib)
        sections = {
            "DEFAULT": {"log_dir": world.path(name + "-log"), "hamal_lib_dir": self.lib + "/", "hamal_info_path": self.lib + "/info"},
            "database": {"connection": cluster.database.connection(name)},
            "sync": {"outage_max": "0", "lease_ttl": "%ds" % TTL},
            "period": {"interval": "1s"},
            "platform lab": {"type": "file", "path": cluster.images, "offline": "yes"},
            "job all": {"platform": "lab", "vm": "*", "target": cluster.target, "interval": "2s"},
        }
        with open(os.open(self.config, os.O_WRONLY | os.O_CREAT, 0o600), "w") as out:
            for section, keys in sections.items():
                print("[%s]" % section, *("%s = %s" % pair for pair in keys.items()), sep="\n", file=out)

    def start(self):
        self.run = self.cluster.world.start("hamal-period", "--loop", env={"HAMAL_CONFIG": self.config})

    def tool(self, *command):
        return self.cluster.world.run(*command, env={"HAMAL_CONFIG": self.config})

    def id(self):
        with open(self.lib + "/proxy_id") as file:
            return file.read().strip()

    def family(self):
        """hamal-period and its tools that live now."""
        found = []
        for pid in map(int, filter(str.isdigit, os.listdir("/proc"))):
            try:
                with open("/proc/%d/environ" % pid, "rb") as file:
                    ours = ("HAMAL_CONFIG=" + self.config).encode() in file.read().split(b"\0")
                if ours and os.readlink("/proc/%d/exe" % pid).startswith(lab.BIN):
                    found.append(pid)
            except OSError:
                pass
        return found

    def works(self):
        return self.cluster.database.ask("SELECT 1 FROM leases WHERE owner <> '' AND proxy = '%s'" % self.id())

    def signal(self, number, pids):
        for pid in pids:
            try:
                os.kill(pid, number)
            except ProcessLookupError:
                pass

    def disturb(self, rng, first):
        """Killed and started again, or stopped for a while that may be longer than a lease; alone or with its tools. The first
        is the one that tests the most."""
        how = "stop all" if first else rng.choice(("kill", "kill all", "stop", "stop all"))
        long = rng.uniform(1.1 * TTL, 1.6 * TTL)
        seconds = long if first else rng.choice((rng.uniform(0.2, TTL), long))
        lab.until(self.works, what="%s works on a machine" % self.name)
        pids = self.family() if how.endswith("all") else [self.run.pid]
        if how.startswith("kill"):
            self.signal(signal.SIGKILL, pids)
            self.run.wait()
            time.sleep(min(seconds, 1))  # now and then the others come first
            self.start()
        else:
            self.signal(signal.SIGSTOP, pids)
            time.sleep(seconds)
            self.signal(signal.SIGCONT, pids)
        return "%s %s %.1f s" % (how, self.name, seconds)


class Cluster:
    def __init__(self, world):
        self.world = world
        self.database = postgresql.Postgresql(world)
        self.images = world.path("images")
        os.mkdir(self.images)
        self.vms = ["vm%d" % number for number in range(VMS)]
        self.contents = {}
        for vm in self.vms:
            self.replace(vm)
        self.target = "dir:" + world.path("store")
        self.proxies = [Proxy(self, name) for name in PROXIES]
        first = self.proxies[0]
        first.tool("hamal-repo", "init", self.target).expect(0)
        for proxy in self.proxies:
            proxy.tool("hamal-sync", "checkpoint", "list").expect(0)  # the tables
        self.database.ask(MINUTES)

    def replace(self, vm):
        """Its image has another content from here on; who reads it reads one of them whole."""
        content = self.world.rng.randbytes(SIZE)
        path = os.path.join(self.images, vm + ".raw")
        new = self.world.path("new")
        with open(new, "wb") as out:
            out.write(content)
        os.rename(new, path)
        self.contents[vm] = hashlib.sha256(content).hexdigest()

    def successes(self):
        return dict(self.database.ask("SELECT vm_name, last_success FROM runs WHERE vm_id NOT LIKE '//proxy/%'"))

    def all_synced_since(self, before):
        now = self.successes()
        return all(now.get(vm, "") > before.get(vm, "") for vm in self.vms)

    def all_sync(self, what):
        before = self.successes()
        lab.until(lambda: self.all_synced_since(before), what=what)

    def check_minutes(self):
        names = {proxy.id(): proxy.name for proxy in self.proxies}
        wrong = [row for row in self.database.ask("SELECT what, vm, writer, COALESCE(holder, '') FROM minutes") if names.get(row[3]) != row[2]]
        assert not wrong, "written without the lease: %s" % wrong
        early = self.database.ask("SELECT * FROM changes WHERE early")
        assert not early, "taken before its end: %s" % early
        falls = self.database.ask("SELECT * FROM changes WHERE new_token < old_token OR (after <> before AND new_token = old_token)")
        assert not falls, "a token that does not grow: %s" % falls

    def restored(self, vm):
        path = self.world.path("restored-%s.raw" % vm)
        # As another machine would: its own state is not asked.
        self.world.run("hamal-sync", self.target, "--vm", vm + ".raw", "--target", "file:" + path, "--incremental=never").expect(0)
        with open(path, "rb") as file:
            return hashlib.sha256(file.read()).hexdigest()


@runner.test("every machine is synced, by one proxy at a time, and nothing is committed by one that lost its lease")
def proxies(world):
    cluster = Cluster(world)
    for proxy in cluster.proxies:
        proxy.start()
    try:
        cluster.all_sync("every machine is synced once")
        said = []
        for _ in range(runner.rounds(ROUNDS)):
            said.append(world.rng.choice(cluster.proxies).disturb(world.rng, first=not said))
            if world.rng.random() < 0.2:
                cluster.all_sync("every machine is synced after: " + "; ".join(said[-5:]))
        for vm in cluster.vms:
            cluster.replace(vm)
        cluster.all_sync("every machine is synced after all")
        cluster.all_sync("and again, with what it is now")
    finally:
        for proxy in cluster.proxies:
            proxy.signal(signal.SIGCONT, proxy.family())
            proxy.signal(signal.SIGTERM, [proxy.run.pid])
    for proxy in cluster.proxies:
        proxy.run.expect(143)
        lab.until(lambda proxy=proxy: not proxy.family(), what="the tools of %s have ended" % proxy.name)
    print("# " + "; ".join(said[-50:]))
    cluster.check_minutes()
    counts = cluster.database.ask("SELECT (SELECT count(*) FROM minutes), (SELECT count(*) FROM changes), "
                                  "(SELECT count(*) FROM changes WHERE before <> after)")[0]
    print("# %s writes, leases changed hands %s times, %s of them between proxies" % tuple(counts))
    assert int(counts[2]) > 0, "no proxy ever took over from another: nothing was tested"
    cluster.proxies[0].tool("hamal-repo", "verify", "--full", cluster.target).expect(0)
    for vm in cluster.vms:
        assert cluster.restored(vm) == cluster.contents[vm], "not the last content: " + vm


if __name__ == "__main__":
    runner.main()
