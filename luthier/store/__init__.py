"""The only room with SQL and with the paths of users' data. `tables` says what is kept, `database` how it is reached."""
