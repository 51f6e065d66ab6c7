"""The most that a role of this program can come to: nothing that makes or changes identities, whatever policy it is given."""

from __future__ import annotations

from typing import Final

# AWS's own policy: every service but IAM, Organizations and Account (its text was not opened here: unverified). One of AWS's, because
# `up`, which must give it to each role that it makes, can then not change it, and nothing has to exist before the first role.
BOUNDARY: Final = "arn:aws:iam::aws:policy/PowerUserAccess"
# Roles without it, each with why. `up` can neither make them nor give them more; a person does, with the first `pulumi up`.
UNBOUNDED: Final = {
    "cluster-control": "Auto Mode makes instance profiles for its machines (AmazonEKSComputePolicy), which are a part of IAM",
    "github-preview": "made by a person, closed to `up` by name",
    "github-release": "made by a person, closed to `up` by name",
    "github-up": "made by a person, closed to `up` by name",
}
# Who may be given a role by `up`: the services that the program's roles trust.
PASSED_TO: Final = (
    "backup.amazonaws.com",
    "ec2.amazonaws.com",
    "eks.amazonaws.com",
    "monitoring.rds.amazonaws.com",
    "pods.eks.amazonaws.com",
    "vpc-flow-logs.amazonaws.com",
)
