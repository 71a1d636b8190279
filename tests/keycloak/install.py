"""Installs Keycloak for the tests: `python -m tests.keycloak.install ARCHIVE FOLDER` (make tools).

Does what each start would otherwise repeat: the build of the server for its options, and the schema of the database.
"""

import os
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

from tests.keycloak.server import ADMIN, ADMIN_PASSWORD, CLASSES, DATABASE, JAVA_OPTIONS, LOG, STAMP, Keycloak


def install(archive: Path, home: Path) -> None:
    """Install the distribution in `archive` as `home`, whose name is that of the archive's only folder."""
    shutil.rmtree(home, ignore_errors=True)
    with zipfile.ZipFile(archive) as distribution:
        distribution.extractall(home.parent)
    script = home / "bin/kc.sh"
    script.chmod(0o755)
    options = os.environ | {"JAVA_OPTS": " ".join(JAVA_OPTIONS)}
    subprocess.run([script, "build", "--db=dev-file"], env=options, check=True, stdout=subprocess.DEVNULL)
    os.environ |= {"KC_BOOTSTRAP_ADMIN_USERNAME": ADMIN, "KC_BOOTSTRAP_ADMIN_PASSWORD": ADMIN_PASSWORD}
    (home / DATABASE).mkdir()
    # The JVM writes the classes that it has loaded when it ends; the next start maps them instead of loading them.
    archiving = (f"-XX:ArchiveClassesAtExit={home / CLASSES}", "-Xlog:cds=off", "-Xlog:cds+dynamic=off")
    first = Keycloak(home, home / DATABASE, java_options=archiving)
    first.start()
    first.stop()
    (home / DATABASE / LOG).unlink()
    (home / STAMP).touch()  # last, so that make repeats an interrupted installation


if __name__ == "__main__":
    install(Path(sys.argv[1]).resolve(), Path(sys.argv[2]).resolve())
