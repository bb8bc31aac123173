package web

import (
	"context"
	"net"
	"net/http"
	"sync"
	"time"
)

// connectionsCap is the maximum number of open connections, even if there are more file
// descriptors, unless twice the maximum number of requests is more. Each connection takes
// about 20 KB.
const connectionsCap = 512

// connectionLimit limits the number of open connections of a server, so that they do not
// use all file descriptors. When there are too many, it closes the connection that has
// been idle longest, so that idle clients do not block others. It may be used
// concurrently.
type connectionLimit struct {
	limit func() int

	mu   sync.Mutex
	open map[net.Conn]*connection
}

// connection is an open connection. Its fields are guarded by connectionLimit.mu.
type connection struct {
	net.Conn
	requests int       // number of requests that are being answered
	idle     time.Time // start or end of the last request; when it was opened if there was none
}

type connectionKey struct{}

// LimitConnections limits the number of open connections of a server to half of the file
// descriptors that the process may have, and to 512 or twice the maximum number of
// requests, if that is more. requests returns that number, which may change. LimitConnections
// must be called before the server serves, and sets ConnContext, ConnState and Handler.
func LimitConnections(server *http.Server, requests func() int) {
	limitConnections(server, func() int { return maxConnections(max(connectionsCap, 2*requests())) })
}

func limitConnections(server *http.Server, limit func() int) {
	l := &connectionLimit{limit: limit, open: map[net.Conn]*connection{}}
	server.ConnContext = l.opened
	server.ConnState = l.changed
	server.Handler = l.handler(server.Handler)
}

// opened adds a new connection. If there are too many, it closes an idle one, or the new
// one if none is idle.
func (l *connectionLimit) opened(ctx context.Context, conn net.Conn) context.Context {
	limit := l.limit()
	l.mu.Lock()
	defer l.mu.Unlock()
	if len(l.open) >= limit && !l.closeIdle() {
		_ = closeNow(conn)
		return ctx
	}
	c := &connection{Conn: conn, idle: time.Now()}
	l.open[conn] = c
	return context.WithValue(ctx, connectionKey{}, c)
}

// closeIdle closes the connection that has been idle longest. It returns false if none is
// idle. The caller holds mu.
func (l *connectionLimit) closeIdle() bool {
	var oldest *connection
	for _, c := range l.open {
		if c.requests == 0 && (oldest == nil || c.idle.Before(oldest.idle)) {
			oldest = c
		}
	}
	if oldest == nil {
		return false
	}
	delete(l.open, oldest.Conn)
	_ = closeNow(oldest.Conn)
	return true
}

// closeNow closes a connection. It does not send the close_notify alert of TLS, which can
// block.
func closeNow(conn net.Conn) error {
	if encrypted, ok := conn.(interface{ NetConn() net.Conn }); ok {
		conn = encrypted.NetConn()
	}
	return conn.Close()
}

// changed removes a closed connection.
func (l *connectionLimit) changed(conn net.Conn, state http.ConnState) {
	if state != http.StateClosed && state != http.StateHijacked {
		return
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	delete(l.open, conn)
}

// handler counts the requests of each connection.
func (l *connectionLimit) handler(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if c, ok := r.Context().Value(connectionKey{}).(*connection); ok {
			l.busy(c, 1)
			defer l.busy(c, -1)
		}
		next.ServeHTTP(w, r)
	})
}

// busy changes the number of requests of a connection.
func (l *connectionLimit) busy(c *connection, requests int) {
	l.mu.Lock()
	defer l.mu.Unlock()
	c.requests += requests
	c.idle = time.Now()
}
