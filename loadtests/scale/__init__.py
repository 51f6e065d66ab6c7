"""What a service of any size needs and costs, from what was measured on a small one."""
