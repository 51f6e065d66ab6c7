"""Snapshots of what users gave the service: taken, checked by restoring them, and put back beside what runs."""
