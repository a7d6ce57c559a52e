"""What the console command is made of, apart from its programs: interruption, help, completion. All of it is light."""
