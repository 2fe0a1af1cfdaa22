"""How leaves travel between actors and the network.

An actor speaks to an `EvaluationClient`; the inference server speaks to objects with the interface of
`queue.Queue`. Three transports stand between them:

* `shared_memory`: observations and answers stay in fixed slots of shared memory; only tokens of a few
  bytes travel, through one pipe an actor. No lock is shared, so a killed actor cannot block another one.
* `queue`: everything is pickled through `multiprocessing.Queue`. The baseline's transport.
* `local`: no transport at all, each actor evaluates its own leaves. For machines without a GPU.

In front of any of them a `CachingClient` remembers answers, if `inference.cache_positions` says so.
"""
