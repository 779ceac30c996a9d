"""What tests share, and the programs that tests start as processes of their own."""

import os

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
