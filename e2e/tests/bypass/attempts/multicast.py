@attempt
def ask_everybody(group, port):
    # A question for a service, as mDNS and LLMNR send it: the secret is its first label.
    family, to = address(group, port)
    question = b"\0\0\0\0\0\1\0\0\0\0\0\0\6secret\5local\0\0\1\0\1"
    with socket.socket(family, socket.SOCK_DGRAM) as datagrams:
        datagrams.sendto(question, to)
