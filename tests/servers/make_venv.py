"""Makes the virtual environment that the tests with Python use: make_venv.py FOLDER REQUIREMENTS.

Whoever asks while another is at it waits. A change of the requirements makes it anew; to get newer releases, delete
the folder.
"""
import fcntl
import pathlib
import subprocess
import sys
import venv

folder, requirements = pathlib.Path(sys.argv[1]), pathlib.Path(sys.argv[2])
folder.mkdir(exist_ok=True)
with open(folder / "lock", "w") as lock:
    fcntl.flock(lock, fcntl.LOCK_EX)
    made = folder / "made"
    wanted = requirements.read_text()
    if not made.exists() or made.read_text() != wanted:
        venv.create(folder, with_pip=True)
        pip = [folder / "bin" / "python", "-m", "pip", "install", "--quiet", "--disable-pip-version-check"]
        subprocess.run([*pip, "--upgrade", "-r", requirements], check=True)
        made.write_text(wanted)
