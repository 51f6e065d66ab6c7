"""Estimates the resources and costs of a service of any size, from measurements on a small one."""
