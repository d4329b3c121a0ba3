"""The README's Python lines, as they are written there."""

import re
import subprocess
import sys

from conftest import ROOT


def test_the_readmes_lines_run(aligned):
    (snippet,) = re.findall(r"```python\n(.*?)```", (ROOT / "README.md").read_text(), re.DOTALL)
    ran = subprocess.run([sys.executable, "-c", snippet], cwd=ROOT, capture_output=True, text=True)
    assert ran.returncode == 0, ran.stderr
    assert ran.stdout == f"aligned {aligned.fingerprint}\n"
