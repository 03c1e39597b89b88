// lc: the load client of the bench. HTTP/1.1 over TLS, direct or through a CONNECT proxy; one thread, epoll, OpenSSL. Also one
// HTTP/2 request at a time on each connection, and WebSocket messages that wait for their echo.
// Prints one JSON line: requests/s, latency percentiles (us), errors, and the CPU time per request of the process tree
// under -T PID, read from /proc at the edges of the measured window. Status and length of every answer are checked.
// One file although it is long: a connection is one machine (connect, CONNECT, handshake, request, answer), its states
// share every field, and cut in two it would have to be read in two places at once.
// Build: gcc -O2 -o lc lc.c -lssl -lcrypto
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <ctype.h>
#include <dirent.h>
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <openssl/err.h>
#include <openssl/ssl.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

static const char *USAGE =
    "lc -m connect|direct -x PORT [-t ORIGIN_PORT] [options]; everything on 127.0.0.1\n"
    "  -m connect  CONNECT HOST:ORIGIN_PORT through the proxy on PORT, then TLS; -m direct  TLS straight to PORT\n"
    "  -h HOST     host of the CONNECT line (127.0.0.1); SNI and Host header are always localhost\n"
    "  -p PATH     request path (/1k)        -c N     connections (24)\n"
    "  -d SEC      measured time (1.5)       -w SEC   warm-up before it (0.5)\n"
    "  -L BYTES    expected body length; another length counts as an error\n"
    "  -K          new connection and full handshake for every request; -R resume TLS sessions\n"
    "  -S          read server-sent events whose data is the origin's CLOCK_MONOTONIC in ns\n"
    "  -W BYTES    WebSocket: each message of this size waits for its echo    -2  HTTP/2, one request at a time\n"
    "  -P          no TLS (with -W)\n"
    "  -b BYTES    POST a body of this size  -I SEC   idle mode: one request each, then hold and report memory\n"
    "  -T PID      root of the process tree whose CPU time and memory are reported\n";

static int viaConnect = 1, conns = 24, newConn, resumeTls, sse, idleHold, postLen, port, originPort, rootPid, http2,
    wsLen, plain;
static long expectLen = -1;
static double duration = 1.5, warmup = 0.5;
static const char *path = "/1k", *connectHost = "127.0.0.1";

static SSL_CTX *ctx;
static SSL_SESSION *savedSession;
static int ep, measuring, complaints;
static char issuer[80]; // common name of the first server certificate's issuer
static char *req, connectReq[512];
static int reqLen, connectReqLen;
static char *message; // of a WebSocket, masked
static int messageLen, echoLen;
static uint64_t done, errs, bytes, handshakes, reused;

enum State { CONNECTING, SEND_CONNECT, RECV_CONNECT, HANDSHAKE, SEND, RECV, DEAD, IDLE };
enum Chunk { C_SIZE, C_DATA, C_DATA_END, C_TRAILER_START, C_LAST_LF, C_TRAILER };
typedef struct {
  int fd, tls, off, inBody, chunked, keep, status, sawFirst;
  enum State state;
  SSL *ssl;
  uint32_t events;
  uint64_t start; // of the request; for a new connection, of connect()
  long served, left, got, chunkLeft;
  enum Chunk chunk;
  int headLen, lineLen, upgraded, streamId, outLen, frameHead;
  long frameLeft;
  char head[16384], line[256], out[1024];
} Conn;

static uint64_t now(void) {
  struct timespec t;
  clock_gettime(CLOCK_MONOTONIC, &t);
  return (uint64_t)t.tv_sec * 1000000000ull + t.tv_nsec;
}

// ---- histograms: 64 linear buckets per power of two (under 1.6 % error)
#define SUB 64
typedef struct {
  uint64_t n, max, bucket[64 * SUB];
} Hist;
static Hist latency, firstByte, eventDelay;
static void record(Hist *h, uint64_t v) {
  int i = (int)v;
  if (v >= SUB) {
    int shift = 63 - __builtin_clzll(v) - 6;
    i = (shift + 1) * SUB + (int)((v >> shift) & (SUB - 1));
  }
  h->bucket[i]++;
  h->n++;
  if (v > h->max) h->max = v;
}
static double percentile(const Hist *h, double p) { // in us
  uint64_t want = (uint64_t)(h->n * p), seen = 0;
  for (int i = 0; i < 64 * SUB; i++) {
    seen += h->bucket[i];
    if (seen > want) return (i < SUB ? i : (double)((uint64_t)(SUB + i % SUB) << (i / SUB - 1))) / 1000.0;
  }
  return 0;
}

// ---- /proc: CPU ticks and resident memory of a process and all its descendants
typedef struct {
  long ticks, rssKb;
} Usage;
static void addTree(int pid, Usage *u) {
  char name[300], buf[4096];
  FILE *f;
  snprintf(name, sizeof name, "/proc/%d/stat", pid);
  if ((f = fopen(name, "r"))) {
    buf[fread(buf, 1, sizeof buf - 1, f)] = 0;
    fclose(f);
    long t[4]; // utime, stime and those of children already waited for
    char *p = strrchr(buf, ')');
    if (p && sscanf(p + 2, "%*c %*d %*d %*d %*d %*d %*u %*u %*u %*u %*u %ld %ld %ld %ld", t, t + 1, t + 2, t + 3) == 4)
      u->ticks += t[0] + t[1] + t[2] + t[3];
  }
  snprintf(name, sizeof name, "/proc/%d/status", pid);
  if ((f = fopen(name, "r"))) {
    while (fgets(buf, sizeof buf, f))
      if (!strncmp(buf, "VmRSS:", 6)) u->rssKb += atol(buf + 6);
    fclose(f);
  }
  snprintf(name, sizeof name, "/proc/%d/task", pid);
  DIR *d = opendir(name);
  if (!d) return;
  for (struct dirent *e; (e = readdir(d));) {
    if (!isdigit((unsigned char)e->d_name[0])) continue;
    snprintf(name, sizeof name, "/proc/%d/task/%s/children", pid, e->d_name);
    if (!(f = fopen(name, "r"))) continue;
    for (int child; fscanf(f, "%d", &child) == 1;) addTree(child, u);
    fclose(f);
  }
  closedir(d);
}
static Usage usage(void) {
  Usage u = {0, 0};
  if (rootPid) addTree(rootPid, &u);
  return u;
}

// ---- connections
static void step(Conn *c);
static void want(Conn *c, uint32_t events) {
  if (c->events == events) return;
  struct epoll_event e = {.events = events, .data.ptr = c};
  epoll_ctl(ep, EPOLL_CTL_MOD, c->fd, &e);
  c->events = events;
}
static void openConn(Conn *c) {
  int one = 1;
  c->fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
  setsockopt(c->fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
  struct sockaddr_in a = {.sin_family = AF_INET, .sin_port = htons(port), .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
  c->start = now();
  c->off = c->headLen = c->tls = 0;
  c->ssl = NULL;
  c->served = 0;
  c->upgraded = c->streamId = c->frameHead = 0;
  c->frameLeft = 0;
  c->state = CONNECTING;
  struct epoll_event e = {.events = c->events = EPOLLOUT, .data.ptr = c};
  epoll_ctl(ep, EPOLL_CTL_ADD, c->fd, &e);
  if (connect(c->fd, (void *)&a, sizeof a) < 0 && errno != EINPROGRESS) perror("lc: connect");
}
static void closeConn(Conn *c, int clean) {
  if (c->ssl) {
    if (clean) SSL_shutdown(c->ssl);
    SSL_free(c->ssl);
    c->ssl = NULL;
  }
  close(c->fd);
  c->fd = -1;
  ERR_clear_error();
}
static void fail(Conn *c, const char *what) {
  errs++;
  if (complaints++ < 3)
    fprintf(stderr, "lc: %s (request %ld of its connection): %s; %s\n", what, c->served + 1, strerror(errno),
            ERR_error_string(ERR_peek_error(), NULL));
  closeConn(c, 0);
  if (errs > 20000)
    c->state = DEAD;
  else
    openConn(c);
}
// both return the number of bytes, 0 for "not now" (epoll is set), -1 for an error or the end
static int tlsResult(Conn *c, int r) {
  if (r > 0) return r;
  switch (SSL_get_error(c->ssl, r)) {
  case SSL_ERROR_WANT_READ: want(c, EPOLLIN); return 0;
  case SSL_ERROR_WANT_WRITE: want(c, EPOLLOUT); return 0;
  default: return -1;
  }
}
static int writeSome(Conn *c, const char *b, int n) {
  if (c->tls) return tlsResult(c, SSL_write(c->ssl, b, n));
  ssize_t r = send(c->fd, b, n, MSG_NOSIGNAL);
  if (r >= 0) return r;
  if (errno != EAGAIN) return -1;
  want(c, EPOLLOUT);
  return 0;
}
// ---- HTTP/2: requests whose fields stand in no table, so that each is the same but for its stream
static int frameOf(char *to, int type, int flags, int stream, const char *body, int n) {
  unsigned char head[9] = {n >> 16, n >> 8, n, type, flags, stream >> 24, stream >> 16, stream >> 8, stream};
  memcpy(to, head, 9);
  memcpy(to + 9, body, n);
  return 9 + n;
}
static int literal(char *to, int index, const char *value) { // RFC 7541 section 6.2.2
  int n = strlen(value);
  to[0] = index;
  to[1] = n;
  memcpy(to + 2, value, n);
  return 2 + n;
}
static void nextStream(Conn *c) {
  static const char preface[] = "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", window[] = {0x7f, 0, 0, 0};
  char fields[512], authority[32];
  snprintf(authority, sizeof authority, "localhost:%d", originPort);
  int n = 0;
  fields[n++] = (char)0x82; // :method GET
  fields[n++] = (char)0x87; // :scheme https
  n += literal(fields + n, 1, authority);
  n += literal(fields + n, 4, path);
  c->outLen = 0;
  if (!c->streamId) {
    memcpy(c->out, preface, 24);
    c->outLen = 24;
    c->outLen += frameOf(c->out + c->outLen, 4, 0, 0, "", 0);
    c->outLen += frameOf(c->out + c->outLen, 8, 0, 0, window, 4);
  }
  c->streamId = c->streamId ? c->streamId + 2 : 1;
  c->outLen += frameOf(c->out + c->outLen, 1, 5, c->streamId, fields, n);
}
static int readSome(Conn *c, char *b, int n) {
  if (c->tls) return tlsResult(c, SSL_read(c->ssl, b, n));
  ssize_t r = recv(c->fd, b, n, 0);
  if (r > 0) return r;
  if (r == 0 || errno != EAGAIN) return -1;
  want(c, EPOLLIN);
  return 0;
}
static void startRequest(Conn *c) {
  c->state = SEND;
  if (http2) nextStream(c);
  c->off = c->headLen = c->inBody = c->sawFirst = c->lineLen = 0;
  c->got = 0;
  if (!newConn || c->served) c->start = now();
}
static void finish(Conn *c) {
  uint64_t t = now();
  done++;
  c->served++;
  if (c->status < 200 || c->status > 299 || (expectLen >= 0 && c->got != expectLen)) {
    errs++;
    if (complaints++ < 3) fprintf(stderr, "lc: status %d, body of %ld bytes\n", c->status, c->got);
  }
  if (measuring) record(&latency, t - c->start);
  if (idleHold) {
    c->state = IDLE;
    want(c, EPOLLIN);
  } else if (newConn || !c->keep) {
    closeConn(c, 1);
    openConn(c);
  } else
    startRequest(c);
}

// ---- response parsing
static void payload(Conn *c, const char *b, int n) {
  c->got += n;
  if (!c->sawFirst && n > 0) {
    c->sawFirst = 1;
    if (measuring) record(&firstByte, now() - c->start);
  }
  if (!sse || !measuring) return;
  for (int i = 0; i < n; i++) {
    if (b[i] != '\n') {
      if (c->lineLen < 255) c->line[c->lineLen++] = b[i];
      continue;
    }
    c->line[c->lineLen] = 0;
    c->lineLen = 0;
    if (strncmp(c->line, "data: ", 6)) continue;
    uint64_t sent = strtoull(c->line + 6, NULL, 10), t = now();
    if (sent && t > sent) record(&eventDelay, t - sent);
  }
}
static int feed(Conn *c, const char *b, int n) { // 1 when the message is complete
  bytes += n;
  if (!c->chunked) {
    payload(c, b, n);
    if (c->left < 0) return 0; // until the connection ends
    c->left -= n;
    return c->left <= 0;
  }
  for (int i = 0; i < n;) switch (c->chunk) {
    case C_SIZE: {
      char ch = b[i++];
      if (ch == '\n')
        c->chunk = c->chunkLeft ? C_DATA : C_TRAILER_START;
      else if (ch >= '0' && ch <= '9')
        c->chunkLeft = c->chunkLeft * 16 + ch - '0';
      else if ((ch | 32) >= 'a' && (ch | 32) <= 'f')
        c->chunkLeft = c->chunkLeft * 16 + (ch | 32) - 'a' + 10;
      break;
    }
    case C_DATA: {
      int k = n - i < c->chunkLeft ? n - i : (int)c->chunkLeft;
      payload(c, b + i, k);
      i += k;
      if ((c->chunkLeft -= k) == 0) c->chunk = C_DATA_END;
      break;
    }
    case C_DATA_END:
      if (b[i++] == '\n') c->chunk = C_SIZE;
      break;
    case C_TRAILER_START:
      if (b[i] == '\n') return 1;
      c->chunk = b[i++] == '\r' ? C_LAST_LF : C_TRAILER;
      break;
    case C_LAST_LF: return 1;
    case C_TRAILER:
      if (b[i++] == '\n') c->chunk = C_TRAILER_START;
      break;
    }
  return 0;
}
// Takes what came of HTTP/2; 1 when the answer is complete, -1 when it can't be read.
static int takeFrames(Conn *c, const unsigned char *b, int n) {
  int isComplete = 0;
  bytes += n;
  for (int i = 0; i < n;) {
    if (c->frameHead < 9) {
      c->head[c->frameHead++] = b[i++];
      if (c->frameHead < 9) continue;
      const unsigned char *h = (unsigned char *)c->head;
      c->frameLeft = h[0] << 16 | h[1] << 8 | h[2];
      c->lineLen = 0;
    }
    const unsigned char *h = (unsigned char *)c->head;
    int k = n - i < c->frameLeft ? n - i : (int)c->frameLeft, type = h[3], flags = h[4];
    for (int j = 0; j < k && c->lineLen < 64; j++) c->line[c->lineLen++] = b[i + j];
    if (type == 0) c->got += k;
    i += k;
    if ((c->frameLeft -= k) > 0) break;
    c->frameHead = 0;
    if (type == 1) {
      int at = 0;
      while (at < c->lineLen && (c->line[at] & 0xe0) == 0x20) at++; // a table size
      c->status = (unsigned char)c->line[at] == 0x88 ? 200 : 0;
    }
    if (type == 3 || type == 7) return -1;
    char answer[32];
    if (type == 4 && !(flags & 1)) SSL_write(c->ssl, answer, frameOf(answer, 4, 1, 0, "", 0));
    if (type == 6 && !(flags & 1)) SSL_write(c->ssl, answer, frameOf(answer, 6, 1, 0, c->line, 8));
    if (type <= 1 && flags & 1) isComplete = 1;
  }
  return isComplete;
}
static int parseHead(Conn *c) { // length of the head, 0 when it is not complete yet
  char *end = memmem(c->head, c->headLen, "\r\n\r\n", 4);
  if (!end) return 0;
  int len = end - c->head + 4;
  c->status = atoi(c->head + 9);
  c->chunked = 0;
  c->left = -1;
  c->keep = 1;
  c->chunk = C_SIZE;
  c->chunkLeft = 0;
  for (char *p = (char *)memchr(c->head, '\n', len) + 1, *nl; p < end + 2; p = nl + 1) {
    if (!(nl = memchr(p, '\n', end + 4 - p))) break;
    if (!strncasecmp(p, "content-length:", 15))
      c->left = atol(p + 15);
    else if (!strncasecmp(p, "transfer-encoding:", 18))
      c->chunked = 1;
    else if (!strncasecmp(p, "connection:", 11))
      c->keep = strncasecmp(p + 11 + strspn(p + 11, " "), "close", 5) != 0;
  }
  if (c->left < 0 && !c->chunked) c->keep = 0;
  return len;
}

static void noteIssuer(SSL *ssl) {
  X509 *cert = SSL_get1_peer_certificate(ssl);
  if (!cert) return;
  X509_NAME_get_text_by_NID(X509_get_issuer_name(cert), NID_commonName, issuer, sizeof issuer);
  for (char *p = issuer; *p; p++)
    if (*p < 32 || *p == '"' || *p == '\\') *p = '?';
  X509_free(cert);
}
static char buf[262144];
static void step(Conn *c) {
  for (;;) switch (c->state) {
    case CONNECTING: {
      int e = 0;
      socklen_t l = sizeof e;
      getsockopt(c->fd, SOL_SOCKET, SO_ERROR, &e, &l);
      if (e) {
        errno = e;
        return fail(c, "connect");
      }
      c->off = 0;
      c->state = viaConnect ? SEND_CONNECT : HANDSHAKE;
      break;
    }
    case SEND_CONNECT: {
      int r = writeSome(c, connectReq + c->off, connectReqLen - c->off);
      if (r < 0) return fail(c, "send CONNECT");
      if (r == 0) return;
      if ((c->off += r) == connectReqLen) {
        c->state = RECV_CONNECT;
        c->headLen = 0;
        want(c, EPOLLIN);
      }
      break;
    }
    case RECV_CONNECT: { // byte by byte, so that no TLS byte is swallowed
      int r = recv(c->fd, c->head + c->headLen, 1, 0);
      if (r < 0 && errno == EAGAIN) return want(c, EPOLLIN);
      if (r <= 0) return fail(c, "CONNECT answer");
      c->headLen++;
      if (c->headLen >= 4 && !memcmp(c->head + c->headLen - 4, "\r\n\r\n", 4)) {
        if (strncmp(c->head + 9, "200", 3)) return fail(c, "CONNECT status");
        c->state = HANDSHAKE;
        c->headLen = 0;
      } else if (c->headLen > 8000)
        return fail(c, "CONNECT answer too long");
      break;
    }
    case HANDSHAKE: {
      if (plain) {
        startRequest(c);
        break;
      }
      if (!c->ssl) {
        c->ssl = SSL_new(ctx);
        SSL_set_fd(c->ssl, c->fd);
        SSL_set_tlsext_host_name(c->ssl, "localhost");
        SSL_set_connect_state(c->ssl);
        if (resumeTls && savedSession) {
          SSL_SESSION *copy = SSL_SESSION_dup(savedSession);
          SSL_set_session(c->ssl, copy);
          SSL_SESSION_free(copy);
        }
        c->tls = 1;
      }
      int r = tlsResult(c, SSL_do_handshake(c->ssl));
      if (r < 0) return fail(c, "handshake");
      if (r == 0) return;
      handshakes++;
      if (SSL_session_reused(c->ssl))
        reused++;
      else if (!issuer[0])
        noteIssuer(c->ssl);
      startRequest(c);
      break;
    }
    case SEND: {
      const char *out = c->upgraded ? message : http2 ? c->out : req;
      int outLen = c->upgraded ? messageLen : http2 ? c->outLen : reqLen;
      int r = writeSome(c, out + c->off, outLen - c->off);
      if (r < 0) return fail(c, "send");
      if (r == 0) return;
      if ((c->off += r) == outLen) {
        c->state = RECV;
        want(c, EPOLLIN);
      }
      break;
    }
    case RECV: {
      int n = readSome(c, buf, sizeof buf);
      if (n == 0) return;
      if (n < 0) {
        if (c->inBody && c->left < 0 && !c->chunked) return finish(c);
        return fail(c, "receive");
      }
      char *b = buf;
      if (http2) {
        int result = takeFrames(c, (unsigned char *)b, n);
        if (result < 0) return fail(c, "HTTP/2 stream or connection ended");
        if (result == 0) break;
        c->keep = 1;
        finish(c);
        if (c->state == SEND) break;
        return;
      }
      if (c->upgraded) {
        bytes += n;
        if (!c->got && (unsigned char)b[0] != 0x82) return fail(c, "no echo");
        if ((c->got += n) < echoLen) break;
        if (c->got > echoLen) return fail(c, "more than the echo");
        finish(c);
        if (c->state == SEND) break;
        return;
      }
      if (!c->inBody) {
        int room = sizeof c->head - c->headLen, k = n < room ? n : room, before = c->headLen;
        memcpy(c->head + before, b, k);
        c->headLen += k;
        int head = parseHead(c);
        if (!head && k < n) return fail(c, "head too long");
        if (!head) break;
        b += head - before;
        n -= head - before;
        if (wsLen) {
          if (c->status != 101 || n > 0) return fail(c, "WebSocket handshake");
          c->upgraded = c->keep = 1;
          c->status = 200;
          startRequest(c);
          break;
        }
        c->inBody = 1;
        if (c->left == 0) {
          finish(c);
          if (c->state == SEND) break;
          return;
        }
      }
      if (n > 0 && feed(c, b, n)) {
        finish(c);
        if (c->state != SEND) return;
      }
      break;
    }
    case IDLE: {
      int r = readSome(c, buf, 64);
      if (r < 0) {
        errs++;
        c->state = DEAD;
        closeConn(c, 0);
      }
      return;
    }
    default: return;
    }
}

static int keepSession(SSL *ssl, SSL_SESSION *s) {
  (void)ssl;
  if (savedSession) return 0;
  savedSession = s;
  return 1;
}
static void setup(void) {
  ctx = SSL_CTX_new(TLS_client_method());
  SSL_CTX_set_verify(ctx, SSL_VERIFY_NONE, NULL);
  SSL_CTX_set_mode(ctx, SSL_MODE_ENABLE_PARTIAL_WRITE | SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER | SSL_MODE_RELEASE_BUFFERS);
  SSL_CTX_set_options(ctx, SSL_OP_IGNORE_UNEXPECTED_EOF);
  SSL_CTX_set_read_ahead(ctx, 1);
  SSL_CTX_set_session_cache_mode(ctx,
                                 resumeTls ? SSL_SESS_CACHE_CLIENT | SSL_SESS_CACHE_NO_INTERNAL : SSL_SESS_CACHE_OFF);
  if (resumeTls) SSL_CTX_sess_set_new_cb(ctx, keepSession);
  if (http2)
    SSL_CTX_set_alpn_protos(ctx, (const unsigned char *)"\x02h2", 3);
  else
    SSL_CTX_set_alpn_protos(ctx, (const unsigned char *)"\x08http/1.1", 9);
  req = malloc(4096 + postLen);
  char contentLength[64] = "";
  if (postLen) snprintf(contentLength, sizeof contentLength, "Content-Length: %d\r\n", postLen);
  reqLen = snprintf(req, 4096,
                    "%s %s HTTP/1.1\r\nHost: localhost:%d\r\nUser-Agent: Mozilla/5.0 (X11; Linux x86_64) lc/1\r\n"
                    "Accept: text/html,application/json;q=0.9,*/*;q=0.8\r\nAccept-Language: en-US,en;q=0.5\r\n"
                    "Accept-Encoding: identity\r\nCookie: sid=0123456789abcdef; theme=dark\r\n"
                    "X-Request-Id: 5d2f8e10-0a4c\r\n%s\r\n",
                    postLen ? "POST" : "GET", path, originPort, contentLength);
  if (wsLen) {
    reqLen = snprintf(req, 4096,
                      "GET %s HTTP/1.1\r\nHost: localhost:%d\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"
                      "Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n",
                      path, originPort);
    int isLong = wsLen > 125, headLen = isLong ? 8 : 6;
    message = malloc(headLen + wsLen);
    message[0] = (char)0x82;
    message[1] = (char)(0x80 | (isLong ? 126 : wsLen));
    if (isLong) message[2] = (char)(wsLen >> 8), message[3] = (char)wsLen;
    for (int i = 0; i < 4; i++) message[headLen - 4 + i] = (char)(0x51 + i);
    for (int i = 0; i < wsLen; i++) message[headLen + i] = 'x' ^ (0x51 + i % 4);
    messageLen = headLen + wsLen;
    echoLen = messageLen - 4;
  }
  memset(req + reqLen, 'x', postLen);
  reqLen += postLen;
  connectReqLen =
      snprintf(connectReq, sizeof connectReq,
               "CONNECT %s:%d HTTP/1.1\r\nHost: %s:%d\r\nUser-Agent: lc/1\r\nProxy-Connection: keep-alive\r\n\r\n",
               connectHost, originPort, connectHost, originPort);
  ep = epoll_create1(0);
}
static void poll_(int ms) {
  struct epoll_event ev[256];
  int n = epoll_wait(ep, ev, 256, ms);
  for (int i = 0; i < n; i++) step(ev[i].data.ptr);
}
static int count(const Conn *cs, int n, enum State s) {
  int k = 0;
  for (int i = 0; i < n; i++) k += cs[i].state == s;
  return k;
}
static void idleRun(Conn *cs) { // opens at most 32 at a time
  Usage before = usage();
  uint64_t limit = now() + 120000000000ull;
  for (int opened = 0, ready = 0; ready < conns && now() < limit;) {
    while (opened < conns && opened - ready < 32) openConn(&cs[opened++]);
    poll_(100);
    ready = count(cs, opened, IDLE) + count(cs, opened, DEAD);
  }
  for (uint64_t end = now() + idleHold * 1000000000ull; now() < end;) poll_(200);
  Usage after = usage();
  printf("{\"conns\":%d,\"alive\":%d,\"rss0_kb\":%ld,\"rss1_kb\":%ld,\"kb_per_conn\":%.2f,\"errs\":%lu}\n", conns,
         count(cs, conns, IDLE), before.rssKb, after.rssKb, (double)(after.rssKb - before.rssKb) / conns, errs);
}
static void loadRun(Conn *cs) {
  for (int i = 0; i < conns; i++) openConn(&cs[i]);
  uint64_t t0 = now() + (uint64_t)(warmup * 1e9), end = t0 + (uint64_t)(duration * 1e9), d0 = 0, b0 = 0, e0 = 0, h0 = 0,
           t;
  Usage u0 = {0, 0};
  while ((t = now()) < end || !measuring) {
    if (!measuring && t >= t0) {
      measuring = 1;
      t0 = t, d0 = done, b0 = bytes, e0 = errs, h0 = handshakes;
      u0 = usage();
    }
    poll_(50);
    if (count(cs, conns, DEAD) == conns) break;
  }
  Usage u1 = usage();
  uint64_t n = done - d0;
  double el = (now() - t0) / 1e9, cpu = (u1.ticks - u0.ticks) / (double)sysconf(_SC_CLK_TCK);
  if (!measuring) el = 1, n = 0, cpu = 0;
  printf("{\"rps\":%.1f,\"n\":%lu,\"cpu_us\":%.2f,\"busy\":%.3f,\"mbps\":%.1f,\"p50\":%.1f,\"p95\":%.1f,\"p99\":%.1f,"
         "\"p999\":%.1f,\"max\":%.1f,\"errs\":%lu,\"handshakes\":%lu,\"reused\":%lu,\"seconds\":%.3f,\"rss_kb\":%ld,"
         "\"issuer\":\"%s\"",
         n / el, n, n ? cpu * 1e6 / n : 0, cpu / el, (bytes - b0) / el / 1e6, percentile(&latency, .5),
         percentile(&latency, .95), percentile(&latency, .99), percentile(&latency, .999), latency.max / 1000.0,
         errs - e0, handshakes - h0, reused, el, u1.rssKb, issuer);
  if (firstByte.n)
    printf(",\"first_p50\":%.1f,\"first_p95\":%.1f", percentile(&firstByte, .5), percentile(&firstByte, .95));
  if (eventDelay.n)
    printf(",\"events\":%lu,\"events_rate\":%.0f,\"event_p50\":%.1f,\"event_p95\":%.1f,\"event_p99\":%.1f",
           eventDelay.n, eventDelay.n / el, percentile(&eventDelay, .5), percentile(&eventDelay, .95),
           percentile(&eventDelay, .99));
  printf("}\n");
}
int main(int argc, char **argv) {
  signal(SIGPIPE, SIG_IGN);
  for (int o; (o = getopt(argc, argv, "m:x:t:h:p:c:d:w:L:b:I:T:W:KRS2P")) > 0;) switch (o) {
    case 'm': viaConnect = !strcmp(optarg, "connect"); break;
    case 'x': port = atoi(optarg); break;
    case 't': originPort = atoi(optarg); break;
    case 'h': connectHost = optarg; break;
    case 'p': path = optarg; break;
    case 'c': conns = atoi(optarg); break;
    case 'd': duration = atof(optarg); break;
    case 'w': warmup = atof(optarg); break;
    case 'L': expectLen = atol(optarg); break;
    case 'b': postLen = atoi(optarg); break;
    case 'I': idleHold = atoi(optarg); break;
    case 'T': rootPid = atoi(optarg); break;
    case 'K': newConn = 1; break;
    case 'R': resumeTls = 1; break;
    case 'S': sse = 1; break;
    case 'W': wsLen = atoi(optarg); break;
    case '2': http2 = 1; break;
    case 'P': plain = 1; break;
    default: fputs(USAGE, stderr); return 2;
    }
  if (!port || conns < 1 || wsLen < 0 || wsLen > 65535) {
    fputs(USAGE, stderr);
    return 2;
  }
  if (!originPort) originPort = port;
  setup();
  Conn *cs = calloc(conns, sizeof *cs);
  if (idleHold)
    idleRun(cs);
  else
    loadRun(cs);
  return 0;
}
