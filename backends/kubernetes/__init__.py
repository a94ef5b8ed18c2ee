"""The Kubernetes edge: configuration, transport, lists, watches and writes of one cluster. `kubernetes.aio` lives only here."""
