"""Models kept in memory to answer predictions. `client` asks, `server` answers, `model_process` is one loaded model."""
