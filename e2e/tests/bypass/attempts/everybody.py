@attempt
def signal_everybody():
    os.kill(-1, signal.SIGUSR1)
