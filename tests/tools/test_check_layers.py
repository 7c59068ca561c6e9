#!/usr/bin/python3
"""Every rule of check-layers on a sample that breaks it and one that does not."""
import os
import subprocess
import sys

TOOL = os.path.join(os.path.dirname(__file__), '..', '..', 'tools', 'check-layers')
sys.exit(subprocess.run([sys.executable, TOOL, '--self-test'], check=False).returncode)
