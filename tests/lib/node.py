"""node - the packages of tests/node (npm), installed when a test first needs them."""
import os
import shutil
import subprocess

from gateway import ROOT
from tap import skip

NODE = os.path.join(ROOT, 'tests', 'node')


def packages():
    if not shutil.which('node') or not shutil.which('npm'):
        skip('node and npm are not there: tools/packages test')
    if not os.path.exists(os.path.join(NODE, 'node_modules', '.package-lock.json')):  # npm's last act
        done = subprocess.run(['npm', 'ci', '--no-audit', '--no-fund'], cwd=NODE, capture_output=True, text=True,
                              timeout=300, check=False)
        if done.returncode:
            skip(f'npm ci failed, perhaps there is no registry: {done.stderr.strip()[-300:]}')
