"""Seats on the nodes of a Ray cluster, or on this machine by a Ray of its own"""
