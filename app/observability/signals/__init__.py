"""Dashboards as data: the page's signals view, Grafana's dashboards and their queries are all generated from `panels.py`."""
