"""Exact identities of papers: functions of no argument that return the measured error, to be held under a bound.

A record names one as ``check = "module:function"``, a file of this folder and a public function in it.
"""
