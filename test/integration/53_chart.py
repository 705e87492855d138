"""test/integration/chart: the chart with the article's values files, by the real helm (built by Go at first)."""
import os
import sys

chart = os.path.join(os.path.dirname(os.path.abspath(__file__)), "chart")
os.execv(sys.executable, [sys.executable, chart])
