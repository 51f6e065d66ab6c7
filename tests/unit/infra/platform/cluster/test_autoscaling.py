"""The values that KEDA's chart is given."""

from infra.platform.cluster import autoscaling


def test_keda_reads_no_secret_of_the_namespaces_that_it_scales() -> None:
    """By default the chart lets the operator list every Secret of the cluster, and it reads what the workers' variables name."""
    assert autoscaling.chart_values(["teal-blue"])["permissions"]["operator"]["restrict"]["secret"] is True
