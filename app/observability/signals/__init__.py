"""What there is to see, as data: the page, Grafana's dashboards and their queries are all made from `panels.py`."""
