"""How a call reaches us: REST and gRPC before one dispatcher. Start in `dispatch`, then `rest` and `grpc_server`."""
