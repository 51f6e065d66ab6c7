"""The address plan of the VPC: public networks, networks of nodes and pods, networks of the stores."""

from __future__ import annotations

import ipaddress
from typing import Final, NamedTuple

# Addresses of DNS resolvers. 172.20.0.10 is the cluster's DNS Service. In Auto Mode CoreDNS is a service of each node, so the
# address that a pod's question is seen at may be the node's own (they are in the private subnets) or link-local;
# the last is the VPC's resolver.
_RESOLVERS: Final = ("172.20.0.10/32", "169.254.20.10/32", "169.254.169.253/32")


# The Service of the API server: the first address of the cluster's services.
_API_SERVICE: Final = "172.20.0.1/32"


class Subnets(NamedTuple):
    """Address plan of one zone."""

    public: str
    private: str
    data: str


def subnets(cidr: str) -> list[Subnets]:
    """Addresses of three zones: a quarter of the VPC for each zone's private subnet, a sixteenth for its public one, a 64th for its stores.

    A 64th of the VPC stays free. Two zones use the first two plans, so that a third can be added without any change.
    """
    quarters = list(ipaddress.ip_network(cidr).subnets(prefixlen_diff=2))
    sixteenths = list(quarters[3].subnets(prefixlen_diff=2))
    data = sixteenths[3].subnets(prefixlen_diff=2)
    return [
        Subnets(str(public), str(private), str(store))
        for private, public, store in zip(quarters[:3], sixteenths[:3], data, strict=False)
    ]


def data_subnets(cidr: str) -> list[str]:
    """The networks of the stores, in all three zones."""
    return [plan.data for plan in subnets(cidr)]


def resolvers(cidr: str) -> list[str]:
    """The DNS resolvers that a pod may use: the cluster's, wherever Auto Mode places it, and the VPC's; none outside the VPC."""
    return [*_RESOLVERS, *(plan.private for plan in subnets(cidr))]


def api(cidr: str) -> list[str]:
    """The addresses of the Kubernetes API: its Service, and the private subnets, in which EKS places its network interfaces."""
    return [_API_SERVICE, *(plan.private for plan in subnets(cidr))]
