@attempt
def ring():
    os.close(call(425, 4, ctypes.create_string_buffer(120)))
