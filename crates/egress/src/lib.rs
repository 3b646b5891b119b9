//! Every outbound connection of a sandbox: accept, identify, authorise, vet, exchange, relay.
