"""Folders of photographs: jobs, records, devices, clusters."""
