"""Search of a space of networks for those that are worth more than others on the device.

How to use it::

    from m7sim.nets.search import search, space

    found = search.run(space.load("space.toml"), search.Limits(latency_s=0.1), trials=5000)
    found.front                     # indices of candidates that no other one beats
    found.misleading                # pairs of near-equal Ops with the most different energy
"""
