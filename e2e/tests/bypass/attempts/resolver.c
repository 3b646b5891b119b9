/* A program that needs nothing of the system: linked statically, it asks a name server of its own
 * choice and dials what that one says. */
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <unistd.h>

static int failed(const char *what) {
    printf("failed %s\n", what);
    return 0;
}

static int opened(int kind, const char *host, int port) {
    struct timeval patience = {5, 0};
    struct sockaddr_in to = {.sin_family = AF_INET, .sin_port = htons(port)};
    int fd = socket(AF_INET, kind, 0);
    inet_pton(AF_INET, host, &to.sin_addr);
    setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof patience);
    if (fd < 0 || connect(fd, (struct sockaddr *)&to, sizeof to) < 0) return -1;
    return fd;
}

int main(int argc, char **argv) {
    if (argc != 4) return 2;
    const char *server = argv[1], *name = argv[2];
    unsigned char message[512] = {0x12, 0x34, 1, 0, 0, 1};
    size_t end = 12;
    for (const char *label = name; *label;) {
        size_t length = strcspn(label, ".");
        message[end++] = (unsigned char)length;
        memcpy(message + end, label, length);
        end += length;
        label += length + (label[length] == '.');
    }
    memcpy(message + end, "\0\0\1\0\1", 5);
    int asked = opened(SOCK_DGRAM, server, 53);
    if (asked < 0 || send(asked, message, end + 5, 0) < 0) return failed("question");
    ssize_t got = recv(asked, message, sizeof message, 0);
    if (got < 12) return failed("answer");
    if (message[3] & 15) return failed((message[3] & 15) == 3 ? "NXDOMAIN" : "refused");
    if (message[7] == 0) return failed("no address");
    char address[INET_ADDRSTRLEN];
    inet_ntop(AF_INET, message + got - 4, address, sizeof address);
    int stream = opened(SOCK_STREAM, address, atoi(argv[3]));
    if (stream < 0) return failed("connect");
    char back[16] = {0};
    if (send(stream, "out", 3, MSG_NOSIGNAL) != 3 || recv(stream, back, 3, MSG_WAITALL) != 3)
        return failed("reset");
    printf(strcmp(back, "out") == 0 ? "succeeded %s\n" : "failed %s\n", address);
    return 0;
}
