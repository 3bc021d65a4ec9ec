"""Asks the coordinators of consumer groups by the Admin API, in a process that may end badly.

# Note [Asked in a process of its own]
librdkafka (2.16 and before) ends its whole process with a failed assertion, `eonce->refcnt > 0`, when a request of the
Admin API has to find a group's coordinator first and the brokers go away, or the time for it ends, meanwhile:
https://github.com/confluentinc/librdkafka/issues/4605. It concerns all such requests: describing and deleting groups,
and reading their offsets. Python cannot catch that. So they are made by a child that does nothing else, and whose end
is an error like any other. Offsets are read and written by a consumer's own requests, which have other code.
"""
