"""The gateway: clients of Anthropic's and OpenAI's wires in, the real key swapped in, streams passed on as they are.

`core.Gateway` joins the parts; `handlers` are its tornado handlers, used by the engine and by `serve` alone. What
decides is pure: `limits`, `upstreams.choose`, `wire.parse`, `usage`.
"""
