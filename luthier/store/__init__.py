"""The only room with SQL and with the paths of users' data. `tables`: what is kept, `database`: how it is reached."""
