"""The importer: a supervisor in the daemon and a worker that runs on its own."""
