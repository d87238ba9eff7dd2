"""A PostgreSQL of the test, and what its superuser sees of the state in it."""
import os
import shutil
import signal
import subprocess
import tempfile

import lab


class Postgresql:
    """The database "hamal" on a unix socket (tests/lab/postgresql.sh)."""

    def __init__(self, world):
        lab.need("psql")
        if not os.path.isdir("/usr/lib/postgresql"):
            raise lab.Skip("the package postgresql is not installed")
        # Not in the world: the server's user must get there.
        self.dir = tempfile.mkdtemp(prefix="hamal-pg.")
        os.chmod(self.dir, 0o755)
        with open(world.path("postgresql.log"), "w") as log:
            self.process = subprocess.Popen([os.path.join(lab.SOURCE, "tests/lab/postgresql.sh"), self.dir],
                                            stdin=subprocess.DEVNULL, stdout=log, stderr=log)
        world.servers.append(self)

        def ready():
            assert self.process.poll() is None, "PostgreSQL: " + open(world.path("postgresql.log")).read()
            return self.ask("SELECT 1", check=False) == [["1"]]
        lab.until(ready, what="PostgreSQL is ready")

    def connection(self, name):
        """`name` is what the server knows the client by."""
        return "postgresql://hamal:hamal-secret@/hamal?host=%s&application_name=%s" % (self.dir, name)

    def ask(self, statement, check=True):
        done = subprocess.run(["psql", "-qtAX", "-v", "ON_ERROR_STOP=1", "-F", "\t", "-h", self.dir, "-U", "postgres", "-c", statement,
                               "hamal"], capture_output=True, text=True, timeout=lab.PATIENCE)
        assert not check or done.returncode == 0, done.stderr
        return [line.split("\t") for line in done.stdout.splitlines()]

    def stop(self):
        self.process.send_signal(signal.SIGINT)  # of all sessions
        self.process.wait(lab.PATIENCE)
        shutil.rmtree(self.dir, ignore_errors=True)
