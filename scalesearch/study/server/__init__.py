"""Studies in a PostgreSQL server: its address, its connections, its lock, and Optuna's storage over them."""
