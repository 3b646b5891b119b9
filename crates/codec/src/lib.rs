//! Sans-I/O, strict readers of hostile bytes: HTTP/1 heads, DNS messages, ClientHello.
