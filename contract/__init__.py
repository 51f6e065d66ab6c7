"""What the service (`app`), the operator's command (`teal`) and the programs for AWS (`infra`) must agree on, as plain data.

Everything may import this package, and it imports none of them. It does nothing when it is imported.
"""
