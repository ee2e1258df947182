"""Language models: one Protocol (domain/model.py), one adapter a wire. SDKs are imported when a model is first used.

endpoints.py makes them by name, `provider:id`. tests/contracts/model.py is what each of them promises.
"""
