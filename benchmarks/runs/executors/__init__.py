"""What executes a plan's runs: one file an engine, each with `execute_all`; see `base.Executor`."""
